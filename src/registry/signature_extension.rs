//! Signatures that a registry keeps beside its images, and says so with `X-Registry-Supports-Signatures`
//! ([the extension](https://github.com/containers/image/blob/main/docs/signature-protocols.md)).

use std::sync::{Arc, PoisonError};

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Error, Operation, RegistryClient, expect_status};
use crate::digest::Digest;
use crate::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use crate::safe_url::SafeUrl;
use crate::signature::MAX_SIGNATURES;
use crate::strict_json::{self, Base64};

/// With the value `1`, the registry has the extension.
const HEADER: &str = "x-registry-supports-signatures";
/// All signatures of a manifest, in base64 and JSON.
const MAX_LIST_SIZE: u64 = 4 * 1024 * 1024;

/// So many digits name a signature, as other programs have it.
const NAME_LENGTH: usize = 32;

/// A signature as the extension lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionSignature {
    /// What the registry calls it.
    pub name: String,
    /// An OpenPGP message.
    pub content: Vec<u8>,
}

#[derive(Deserialize)]
struct List<'a> {
    // Go programs write an empty list as null.
    #[serde(borrow)]
    signatures: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    name: String,
    content: Base64,
}

/// Of a version or type that is not known, everything else may be anything.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind<'a> {
    #[serde(borrow)]
    schema_version: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
}

impl Kind<'_> {
    fn is_known(&self) -> bool {
        self.schema_version.is_some_and(|version| version.get() == "2")
            && self.r#type.is_some_and(|kind| kind.get() == "\"atomic\"")
    }
}

impl RegistryClient {
    /// Whether the registry has the signature extension. It is asked once, at `/v2/`.
    ///
    /// The header counts whatever we may do there: it comes along with a 401 too. A registry without a `/v2/` has no
    /// extension.
    pub fn supports_signatures(&self) -> Result<bool, Error> {
        // The lock is held while asking: threads that want to know wait for the one question.
        let mut known = self.keeps_signatures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *known {
            return Ok(known);
        }
        let operation = Operation::AskingForExtension { name: self.name.clone() };
        let response = self.get_url(&operation, &self.join(&operation, "")?, HeaderMap::new())?;
        let answers = [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND];
        let response = expect_status(&operation, response, &answers)?;
        let supported = response.single_header(HEADER) == Some("1");
        response.drain();
        Ok(*known.insert(supported))
    }

    /// The signatures of a manifest, in the registry's order; those of an unknown version or type are left out.
    pub fn extension_signatures(&self, digest: &Digest) -> Result<Vec<ExtensionSignature>, Error> {
        let operation = Operation::ReadingSignatures { digest: digest.clone(), name: self.name.clone() };
        let url = self.signatures_url(&operation, digest)?;
        let response = self.get_url(&operation, &url, HeaderMap::new())?;
        let response = expect_status(&operation, response, &[StatusCode::OK])?;
        read_list(&operation, response)
    }

    /// Adds a signature of a manifest that the registry has. `content` is an OpenPGP message.
    ///
    /// The name is made of the content, so that the same signature is never there under two names.
    pub fn put_extension_signature(&self, digest: &Digest, content: &[u8]) -> Result<(), Error> {
        let operation = Operation::PuttingSignature { digest: digest.clone(), name: self.name.clone() };
        let url = self.signatures_url(&operation, digest)?;
        let of_content = Digest::sha256(content);
        let name = of_content.encoded().get(..NAME_LENGTH).unwrap_or_default();
        let signature = json!({
            "schemaVersion": 2,
            "name": format!("{digest}@{name}"),
            "type": "atomic",
            "content": strict_json::to_base64(content),
        });
        let mut request = Request { method: Method::PUT, ..Request::get(url, Arc::clone(&self.tls)) };
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = signature.to_string().into_bytes();
        let response = self.send(&operation, &mut request)?;
        // Whatever else is answered, nobody says that it is kept.
        expect_status(&operation, response, &[StatusCode::CREATED]).map(Response::drain)
    }

    fn signatures_url(&self, operation: &Operation, digest: &Digest) -> Result<SafeUrl, Error> {
        self.join(operation, &format!("../extensions/v2/{}/signatures/{digest}", self.name.path()))
    }
}

fn read_list(operation: &Operation, response: Response) -> Result<Vec<ExtensionSignature>, Error> {
    let invalid = |source| Error::SignatureList { operation: operation.clone(), source };
    let bytes =
        response.into_bytes(MAX_LIST_SIZE).map_err(|source| Error::Http { operation: operation.clone(), source })?;
    let list: List<'_> = serde_json::from_slice(&bytes).map_err(invalid)?;
    let mut known = Vec::new();
    for entry in list.signatures.unwrap_or_default() {
        let kind: Kind<'_> = serde_json::from_str(entry.get()).map_err(invalid)?;
        // One more than may be, so that there is an error about it.
        if kind.is_known() && known.len() <= MAX_SIGNATURES {
            let entry: Entry = serde_json::from_str(entry.get()).map_err(invalid)?;
            known.push(ExtensionSignature { name: entry.name, content: entry.content.0 });
        }
    }
    Ok(known)
}
