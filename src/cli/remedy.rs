//! What to do about a place that does not take what it is given.

use std::error::Error as StdError;
use std::io::ErrorKind;

use crate::http::StatusCode;
use crate::registry::ErrorResponse;
use crate::{destination, error, http};

/// `None` for a failure that is not the destination's, or that speaks for itself.
pub(super) fn of(failure: &(dyn StdError + 'static)) -> Option<&'static str> {
    let refusal = error::find::<destination::Error>(failure)?;
    match refusal {
        destination::Error::Write { source, .. } => of_disk(source.kind()),
        destination::Error::Busy { .. } => Some("wait until it is done, or choose another directory"),
        _ => match error::find::<ErrorResponse>(refusal) {
            Some(response) => of_registry(response.status),
            None => of_line(refusal),
        },
    }
}

fn of_disk(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some("make room there or choose another place; while an archive is written it takes its room twice")
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            Some("choose a place that this user may write to")
        }
        _ => None,
    }
}

fn of_registry(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Some(
            "at most 8 MiB are sent in one request, and the registry or a proxy before it takes less: raise its limit \
             (nginx: client_max_body_size)",
        ),
        StatusCode::TOO_MANY_REQUESTS => Some(
            "copy again later: what is there already is not sent again; --image-parallel-copies and --retry-times ask \
             less at once and longer",
        ),
        StatusCode::FORBIDDEN => Some(
            "this account may not write there, or its quota is used up; `transship explain IMAGE` shows which \
             credentials are used",
        ),
        StatusCode::INSUFFICIENT_STORAGE => Some("the registry has no room left: somebody has to make some there"),
        _ => None,
    }
}

/// A host that cannot be reached at all has other reasons.
fn of_line(refusal: &destination::Error) -> Option<&'static str> {
    let is_cut = matches!(error::find(refusal), None | Some(http::Error::Closed { .. } | http::Error::Body { .. }));
    (is_cut && refusal.is_transient()).then_some("copy again: what is there already is not sent again")
}
