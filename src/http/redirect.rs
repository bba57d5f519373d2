//! Redirects, and what may travel along.

use super::{Error, Method, Request, Response, StatusCode, Wire, header};
use crate::safe_url::SafeUrl;

/// As many hops as browsers and Go follow.
const MOST_REDIRECTS: u32 = 10;

/// True when credentials for `from` may be sent to `to`: same scheme, same host, same port. So never from https to
/// http, and never to a subdomain.
pub fn may_carry_credentials(from: &SafeUrl, to: &SafeUrl) -> bool {
    from.same_origin(to)
}

/// Follows redirects of `GET` and `HEAD` requests, at most ten.
///
/// Once a hop leaves the origin, `Authorization`, cookies, every header marked sensitive, and the client certificate
/// stay behind, for that hop and all that follow, even if they lead back.
#[derive(Debug)]
pub struct Redirecting<W> {
    inner: W,
}

impl<W: Wire> Redirecting<W> {
    /// Decorates `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }
}

impl<W: Wire> Wire for Redirecting<W> {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let response = self.inner.send(request)?;
        if !is_redirect(&response, &request.method) {
            return Ok(response);
        }
        let mut hop = request.clone();
        let mut response = response;
        for _ in 0..MOST_REDIRECTS {
            hop = next_hop(hop, &response)?;
            response.drain();
            log::debug!("redirected to {}", hop.url);
            response = self.inner.send(&hop)?;
            if !is_redirect(&response, &hop.method) {
                return Ok(response);
            }
        }
        Err(Error::TooManyRedirects { url: request.url.clone(), limit: MOST_REDIRECTS })
    }
}

fn is_redirect(response: &Response, method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && matches!(
            response.status,
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        )
}

fn next_hop(mut hop: Request, response: &Response) -> Result<Request, Error> {
    let bad = |source| Error::BadRedirect { url: hop.url.clone(), source };
    let location = response.single_header(header::LOCATION).ok_or_else(|| bad(None))?;
    let target = hop.url.join(location).map_err(|error| bad(Some(error)))?;
    if !may_carry_credentials(&hop.url, &target) {
        hop.headers = hop
            .headers
            .iter()
            .filter(|(name, value)| {
                !value.is_sensitive()
                    && ![header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION].contains(name)
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        hop.tls = hop.tls.without_identity();
    }
    hop.url = target;
    Ok(hop)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::http::{HeaderMap, HeaderValue, Tls};

    /// Redirects along a list, and keeps what it was asked.
    struct Chain {
        targets: Mutex<Vec<&'static str>>,
        seen: Mutex<Vec<Seen>>,
    }

    /// A URL that was asked, and which secrets came along: `Authorization`, and a header marked sensitive.
    type Seen = (String, bool, bool);

    impl Wire for &Chain {
        fn send(&self, request: &Request) -> Result<Response, Error> {
            let has = |name: &str| request.headers.contains_key(name);
            self.seen.lock().unwrap().push((request.url.expose().to_owned(), has("authorization"), has("x-own")));
            let mut headers = HeaderMap::new();
            let mut targets = self.targets.lock().unwrap();
            let status = if targets.is_empty() {
                StatusCode::OK
            } else {
                headers.insert(header::LOCATION, HeaderValue::from_static(targets.remove(0)));
                StatusCode::TEMPORARY_REDIRECT
            };
            Ok(Response { status, headers, body: Box::new(io::empty()), url: request.url.clone() })
        }
    }

    fn follow(targets: &[&'static str]) -> (Result<Response, Error>, Vec<Seen>) {
        let chain = Chain { targets: Mutex::new(targets.to_vec()), seen: Mutex::default() };
        let mut request = Request::get("https://r.example/v2/x".parse().unwrap(), Arc::new(Tls::default()));
        request.headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic canary"));
        let mut own = HeaderValue::from_static("canary");
        own.set_sensitive(true);
        request.headers.insert("x-own", own);
        request.headers.insert(header::RANGE, HeaderValue::from_static("bytes=5-"));
        let outcome = Redirecting::new(&chain).send(&request);
        (outcome, chain.seen.into_inner().unwrap())
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        for (target, carried) in [
            ("/elsewhere", true),
            ("https://r.example:443/y", true),
            ("http://r.example/y", false),
            ("https://r.example:8443/y", false),
            ("https://cdn.r.example/y", false),
            ("https://cdn.example/y?sig=1", false),
        ] {
            let (outcome, seen) = follow(&[target]);
            assert_eq!(outcome.unwrap().status, StatusCode::OK);
            assert_eq!((seen[1].1, seen[1].2), (carried, carried), "{target}");
        }
    }

    #[test]
    fn credentials_left_behind_do_not_come_back() {
        let (outcome, seen) = follow(&["https://cdn.example/y", "https://r.example/v2/z"]);
        assert!(outcome.is_ok());
        assert_eq!(seen[2], ("https://r.example/v2/z".to_owned(), false, false));
    }

    #[test]
    fn a_loop_ends_and_bad_targets_are_refused() {
        assert!(matches!(follow(&["/again"; 20]).0, Err(Error::TooManyRedirects { limit: 10, .. })));
        for target in ["file:///etc/passwd", "https://u:p@cdn.example/", "http://"] {
            assert!(matches!(follow(&[target]).0, Err(Error::BadRedirect { .. })), "{target}");
        }
    }
}
