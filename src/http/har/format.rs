//! The parts of HAR 1.2 that this crate writes or reads.
//!
//! What the standard demands and nobody needs to read back is only written: other programs leave it out, or write `null`
//! or `-1`. So a reader is not stopped by it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::failure::Failure;

/// The whole file.
#[derive(Serialize, Deserialize)]
pub(super) struct Har<E = Entry> {
    pub(super) log: Log<E>,
}

/// Everything in the file.
#[derive(Serialize, Deserialize)]
pub(super) struct Log<E> {
    #[serde(skip_deserializing)]
    pub(super) version: &'static str,
    #[serde(skip_deserializing)]
    pub(super) creator: Creator,
    pub(super) entries: Vec<E>,
}

/// Who made the file.
#[derive(Serialize)]
pub(super) struct Creator {
    name: &'static str,
    version: &'static str,
}

impl Default for Creator {
    fn default() -> Self {
        Self { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") }
    }
}

/// One exchange.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[serde(skip_deserializing)]
    pub(super) started_date_time: String,
    #[serde(skip_deserializing)]
    pub(super) time: f64,
    pub(super) request: Request,
    #[serde(default)]
    pub(super) response: Response,
    #[serde(skip_deserializing)]
    pub(super) cache: Empty,
    #[serde(skip_deserializing)]
    pub(super) timings: Timings,
}

/// `{}`
#[derive(Serialize, Default)]
pub(super) struct Empty {}

/// Milliseconds.
#[derive(Serialize, Default)]
pub(super) struct Timings {
    pub(super) send: f64,
    pub(super) wait: f64,
    pub(super) receive: f64,
}

/// What was asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    #[serde(skip_deserializing)]
    pub(super) http_version: &'static str,
    #[serde(skip_deserializing)]
    pub(super) cookies: [(); 0],
    #[serde(default)]
    pub(super) headers: Vec<Pair>,
    #[serde(skip_deserializing)]
    pub(super) query_string: Vec<Pair>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub(super) post_data: Option<PostData>,
    #[serde(skip_deserializing)]
    pub(super) headers_size: i64,
    #[serde(skip_deserializing)]
    pub(super) body_size: u64,
}

/// A header or a query parameter.
#[derive(Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
}

/// A body that was sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostData {
    pub(super) mime_type: String,
    pub(super) text: String,
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<&'static str>,
    /// Of a body that is left out; its size is the entry's `bodySize`.
    #[serde(rename = "_digest", skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
}

/// What came back; with status 0, nothing did.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    #[serde(default)]
    pub(super) status: i64,
    #[serde(skip_deserializing)]
    pub(super) status_text: &'static str,
    #[serde(skip_deserializing)]
    pub(super) http_version: &'static str,
    #[serde(skip_deserializing)]
    pub(super) cookies: [(); 0],
    #[serde(default)]
    pub(super) headers: Vec<Pair>,
    #[serde(default)]
    pub(super) content: Content,
    #[serde(rename = "redirectURL", skip_deserializing)]
    pub(super) redirect_url: String,
    #[serde(skip_deserializing)]
    pub(super) headers_size: i64,
    #[serde(skip_deserializing)]
    pub(super) body_size: i64,
    #[serde(rename = "_url", default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(rename = "_error", default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<RecordedError>,
}

/// A body that came.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    #[serde(default)]
    pub(super) size: Option<f64>,
    #[serde(skip_deserializing)]
    pub(super) mime_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<String>,
    #[serde(rename = "_encoded", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) encoded: bool,
    #[serde(rename = "_partial", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) partial: bool,
}

/// Why there is no answer, or not all of it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum RecordedError {
    /// In our words.
    Ours(Failure),
    /// Chrome and mitmproxy write a line of text here.
    Foreign(serde_json::Value),
}

/// Where the entries of a file are, to say it in an error.
#[derive(Deserialize)]
pub(super) struct Places<'a> {
    #[serde(borrow)]
    log: PlacesLog<'a>,
}

#[derive(Deserialize)]
struct PlacesLog<'a> {
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
}

impl Places<'_> {
    /// The line, counted from 1, where the entry of this index begins in `bytes`; 1 when that cannot be told.
    pub(super) fn line_of_entry(bytes: &[u8], index: usize) -> usize {
        let Ok(places) = serde_json::from_slice::<Places<'_>>(bytes) else { return 1 };
        let Some(entry) = places.log.entries.get(index) else { return 1 };
        let offset = (entry.get().as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
        bytes.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }
}
