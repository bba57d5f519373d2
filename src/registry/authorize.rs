//! The conversation about who we are: ask, be challenged, answer, remember.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Address;
use super::challenge::Challenge;
use super::token::{self, Token, TokenError, TokenRequest, TokenScope};
use crate::config::credentials::Credentials;
use crate::http::{self, Clock, HeaderMap, HeaderValue, Request, Response, StatusCode, Wire, header};
use crate::safe_url::SafeUrl;
use crate::secret::Secret;

/// Who we are to one endpoint. The default is nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// For Basic, and for asking a token server.
    pub credentials: Option<Credentials>,
    /// A bearer token to use as it is, instead of asking for one.
    pub token: Option<Secret<String>>,
}

/// Adds authorisation to requests to one endpoint.
///
/// The first request goes without. The challenge of a 401 says what is wanted; it is remembered, so that later
/// requests bring it along. A token that the registry does not accept any more is renewed once, one that allows too
/// little is asked for again with the scope the registry names.
pub(super) struct Authorizer {
    wire: Arc<dyn Wire>,
    clock: Arc<dyn Clock>,
    identity: Identity,
    insecure: bool,
    /// What every request to the endpoint brings along.
    headers: HeaderMap,
    connect_timeout: Option<Duration>,
    state: Mutex<State>,
}

/// A registry may name another scope with each request, and all of them go with each request for a token.
const MOST_SCOPES: usize = 8;

/// What was learned so far.
struct State {
    challenge: Option<Challenge>,
    scopes: Vec<TokenScope>,
    token: Option<Token>,
}

/// Why a request was not answered.
pub(super) enum Failure {
    Http(http::Error),
    Token(TokenError),
}

impl Authorizer {
    pub(super) fn new(
        wire: Arc<dyn Wire>,
        clock: Arc<dyn Clock>,
        identity: Identity,
        scopes: Vec<TokenScope>,
        insecure: bool,
    ) -> Self {
        let token = identity.token.clone().map(Token::given);
        let state = Mutex::new(State { challenge: None, scopes, token });
        Self { wire, clock, identity, insecure, headers: HeaderMap::new(), connect_timeout: None, state }
    }

    /// With what the endpoint's address asks for.
    pub(super) fn with_additions(mut self, address: Option<&Address>) -> Self {
        if let Some(address) = address {
            self.headers = sensitive(&address.headers);
            self.connect_timeout = address.connect_timeout;
        }
        self
    }

    /// The same, for requests that need another scope too. It knows what was learned so far; its tokens are its own.
    pub(super) fn with_scope(&self, scope: TokenScope) -> Self {
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes = known.scopes.iter().cloned().chain([scope]).collect();
        let (wire, clock) = (Arc::clone(&self.wire), Arc::clone(&self.clock));
        let mut wider = Self::new(wire, clock, self.identity.clone(), scopes, self.insecure);
        wider.headers.clone_from(&self.headers);
        wider.connect_timeout = self.connect_timeout;
        wider.state.lock().unwrap_or_else(PoisonError::into_inner).challenge.clone_from(&known.challenge);
        wider
    }

    /// Sends `request`, which goes to the endpoint itself. A 401 comes back only when nothing is left to try.
    ///
    /// It only adds its header, so that a large body need not be copied.
    pub(super) fn send(&self, request: &mut Request) -> Result<Response, Failure> {
        let (mut renewed, mut widened) = (false, false);
        self.add_to(request);
        loop {
            let sent = self.authorization(request)?;
            match sent.as_ref().or_else(|| self.headers.get(header::AUTHORIZATION)) {
                Some(value) => request.headers.insert(header::AUTHORIZATION, value.clone()),
                None => request.headers.remove(header::AUTHORIZATION),
            };
            let response = self.wire.send(request).map_err(Failure::Http)?;
            // A redirect target that asks who we are is not the endpoint, and is not told.
            if response.status != StatusCode::UNAUTHORIZED || !response.url.same_origin(&request.url) {
                return Ok(response);
            }
            let challenges = Challenge::all(&response.headers);
            if !widened && self.widen(&challenges) {
                widened = true;
            } else if !renewed && self.learn(&challenges, sent.as_ref()) {
                renewed = true;
            } else {
                return Ok(response);
            }
            response.drain();
        }
    }

    /// The value for `Authorization` by what is known now; asks for a token where one is needed.
    fn authorization(&self, request: &Request) -> Result<Option<HeaderValue>, Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(challenge) = &state.challenge else {
            return Ok(None);
        };
        if challenge.scheme == "basic" {
            return Ok(self.identity.credentials.as_ref().map(token::basic));
        }
        // The lock is held while asking: threads that need the same token wait for the one question.
        let now = self.clock.now();
        if let Some(token) = state.token.as_ref().filter(|token| token.is_fresh(now)) {
            return Ok(Some(bearer(token)));
        }
        let token = self.ask(challenge, &state.scopes, request).map_err(Failure::Token)?;
        Ok(Some(bearer(state.token.insert(token))))
    }

    fn ask(&self, challenge: &Challenge, scopes: &[TokenScope], request: &Request) -> Result<Token, TokenError> {
        let endpoint: &SafeUrl = &request.url;
        let credentials = self.identity.credentials.as_ref();
        let (tls, insecure) = (&request.tls, self.insecure);
        let add = |token_request: &mut Request| {
            if token_request.url.same_origin(endpoint) {
                self.add_to(token_request);
            }
        };
        let question = TokenRequest { challenge, scopes, credentials, endpoint, tls, insecure };
        question.send(&*self.wire, self.clock.now(), add)
    }

    /// What the request has of its own stays.
    fn add_to(&self, request: &mut Request) {
        request.connect_timeout = self.connect_timeout;
        for name in self.headers.keys().filter(|name| !request.headers.contains_key(*name)).cloned().collect::<Vec<_>>()
        {
            request.headers.extend(self.headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
        }
    }

    /// Takes in the scope that an `insufficient_scope` challenge names; false when there is none, or it was known.
    fn widen(&self, challenges: &[Challenge]) -> bool {
        let Some((challenge, scope)) = challenges.iter().find_map(missing_scope) else {
            return false;
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let has_enough = state.scopes.len() >= MOST_SCOPES;
        if has_enough || state.scopes.contains(&scope) || self.identity.token.is_some() {
            return false;
        }
        state.scopes.push(scope);
        state.token = None;
        state.challenge = Some(challenge.clone());
        true
    }

    /// Takes in a challenge that can be answered otherwise than it was; false when there is none.
    fn learn(&self, challenges: &[Challenge], sent: Option<&HeaderValue>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(challenge) = challenges.iter().find(|challenge| self.can_answer(challenge)) else {
            return false;
        };
        let was_refused = |value: &HeaderValue| Some(value) == sent;
        if challenge.scheme == "bearer" && state.token.as_ref().map(bearer).as_ref().is_some_and(was_refused) {
            if self.identity.token.is_some() {
                return false;
            }
            state.token = None;
        } else if challenge.scheme == "basic" && sent.is_some() && state.challenge.as_ref() == Some(challenge) {
            return false;
        }
        state.challenge = Some(challenge.clone());
        true
    }

    fn can_answer(&self, challenge: &Challenge) -> bool {
        match challenge.scheme.as_str() {
            "bearer" => true,
            "basic" => self.identity.credentials.as_ref().is_some_and(|credentials| !credentials.username().is_empty()),
            _ => false,
        }
    }
}

/// A redirect to somewhere else leaves them behind, and nobody prints them.
fn sensitive(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.values_mut().for_each(|value| value.set_sensitive(true));
    headers
}

fn bearer(token: &Token) -> HeaderValue {
    token::sensitive(&format!("Bearer {}", token.secret.expose()))
}

fn missing_scope(challenge: &Challenge) -> Option<(&Challenge, TokenScope)> {
    let is_narrow = challenge.scheme == "bearer" && challenge.parameter("error") == Some("insufficient_scope");
    let scope = is_narrow.then(|| challenge.parameter("scope")).flatten()?;
    Some((challenge, TokenScope::from_challenge(scope)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::TestClock;
    use crate::reference::Reference;

    /// Wants another scope with each request; keeps how many each request for a token has.
    #[derive(Default)]
    struct Greedy {
        wanted: Mutex<usize>,
        asked_for: Mutex<Vec<usize>>,
    }

    impl Wire for Greedy {
        fn send(&self, request: &Request) -> Result<Response, http::Error> {
            let (url, mut headers) = (request.url.clone(), HeaderMap::new());
            if url.host() == "auth.example" {
                self.asked_for.lock().unwrap().push(url.expose().matches("scope=").count());
                return Ok(Response { status: StatusCode::OK, headers, body: Box::new(&br#"{"token":"t"}"#[..]), url });
            }
            let mut wanted = self.wanted.lock().unwrap();
            *wanted += 1;
            let challenge = format!(
                "Bearer realm=\"https://auth.example/token\",scope=\"repository:org/{wanted}:pull\",\
                 error=\"insufficient_scope\""
            );
            headers.insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
            Ok(Response { status: StatusCode::UNAUTHORIZED, headers, body: Box::new(std::io::empty()), url })
        }
    }

    #[test]
    fn a_registry_that_wants_more_and_more_scopes_does_not_get_them() {
        let (wire, clock) = (Arc::new(Greedy::default()), Arc::new(TestClock::default()));
        let scopes = vec![TokenScope::pull("r.example/app".parse::<Reference>().unwrap().name().path())];
        let authorizer = Authorizer::new(Arc::clone(&wire) as _, clock, Identity::default(), scopes, false);
        for _ in 0..50 {
            let mut request = Request::get("https://r.example/v2/".parse().unwrap(), Arc::default());
            assert!(authorizer.send(&mut request).is_ok());
        }
        assert_eq!(wire.asked_for.lock().unwrap().iter().max(), Some(&MOST_SCOPES));
    }
}
