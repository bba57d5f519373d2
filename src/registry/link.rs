//! Where a list goes on.

use crate::http::{Response, header};

/// The target of a `Link` header, `</v2/…?n=…&last=…>; rel="next"`.
pub(super) fn next_page(response: &Response) -> Option<&str> {
    let target = response.single_header(header::LINK)?.split(';').next().unwrap_or_default().trim();
    Some(target.trim_start_matches('<').trim_end_matches('>')).filter(|target| !target.is_empty())
}
