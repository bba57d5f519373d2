//! The token service of a scripted registry.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::reply::Reply;
use super::request::ReceivedRequest;

/// Where the service is on the registry's own server.
pub const TOKEN_PATH: &str = "/token";

/// Issues `token-1`, `token-2`… and remembers what each is good for.
#[derive(Default)]
pub(super) struct TokenService {
    service: String,
    /// With neither accounts nor refresh tokens, everybody gets a token.
    pub(super) accounts: Vec<(String, String)>,
    pub(super) refresh_tokens: Vec<String>,
    /// How many requests a token is good for; `None` without an end.
    pub(super) uses: Option<usize>,
    pub(super) expires_in: Option<u64>,
    issued: Mutex<Vec<Issued>>,
}

struct Issued {
    scopes: Vec<String>,
    uses: usize,
}

impl TokenService {
    pub(super) fn new(service: &str) -> Self {
        Self { service: service.to_owned(), ..Self::default() }
    }

    /// Answers a request for a token: `GET`, by Basic or anonymous, or `POST` with a refresh token.
    pub(super) fn answer(&self, request: &ReceivedRequest) -> Reply {
        let is_post = request.method == "POST";
        let values = |name: &str| if is_post { request.form(name) } else { request.query(name) };
        if values("service") != [self.service.clone()] {
            return Reply::new(400).body(format!("expected service {}", self.service));
        }
        let is_known = if is_post { self.knows_refresh_token(request) } else { self.knows_account(request) };
        if !is_known {
            let errors = json!({"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]});
            return Reply::json(&errors).status(401);
        }
        let mut issued = self.issued.lock().unwrap();
        let scopes = values("scope").iter().flat_map(|scope| scope.split(' ')).map(str::to_owned).collect();
        issued.push(Issued { scopes, uses: 0 });
        // The two names that services use for the same thing.
        let member = if is_post { "access_token" } else { "token" };
        let mut answer = json!({member: format!("token-{}", issued.len())});
        if let Some(seconds) = self.expires_in {
            answer["expires_in"] = json!(seconds);
        }
        Reply::json(&answer)
    }

    fn knows_refresh_token(&self, request: &ReceivedRequest) -> bool {
        let [token] = request.form("refresh_token").try_into().unwrap_or([String::new()]);
        request.form("grant_type") == ["refresh_token"] && self.refresh_tokens.contains(&token)
    }

    fn knows_account(&self, request: &ReceivedRequest) -> bool {
        match request.header("authorization") {
            None => self.accounts.is_empty() && self.refresh_tokens.is_empty(),
            Some(_) => self.accounts.iter().any(|(user, password)| is_basic(request, user, password)),
        }
    }

    /// Lets a request with a fitting token through; the challenge for any other. `scope` is that of the request, `None` for
    /// `/v2/`, which any token opens.
    pub(super) fn check(&self, request: &ReceivedRequest, scope: Option<&str>, realm: &str) -> Result<(), Reply> {
        let challenge = |error: &str| {
            let scope = scope.map_or_else(String::new, |scope| format!(",scope=\"{scope}\""));
            let error = if error.is_empty() { String::new() } else { format!(",error=\"{error}\"") };
            let challenge = format!("Bearer realm=\"{realm}\",service=\"{}\"{scope}{error}", self.service);
            super::registry::unauthorized(&challenge)
        };
        let Some(token) = request.header("authorization") else { return Err(challenge("")) };
        let mut issued = self.issued.lock().unwrap();
        let number = token.strip_prefix("Bearer token-").and_then(|number| number.parse::<usize>().ok());
        let found = number.and_then(|number| issued.get_mut(number.checked_sub(1)?));
        let Some(token) = found.filter(|token| self.uses.is_none_or(|uses| token.uses < uses)) else {
            return Err(challenge("invalid_token"));
        };
        if scope.is_some_and(|scope| !token.scopes.iter().any(|granted| covers(granted, scope))) {
            return Err(challenge("insufficient_scope"));
        }
        token.uses += 1;
        Ok(())
    }
}

/// True when the granted scope names the same repository, and the wanted action among others.
fn covers(granted: &str, wanted: &str) -> bool {
    match (granted.rsplit_once(':'), wanted.rsplit_once(':')) {
        (Some((granted, actions)), Some((wanted, action))) => {
            granted == wanted && actions.split(',').any(|granted| granted == action)
        }
        _ => false,
    }
}

pub(super) fn is_basic(request: &ReceivedRequest, user: &str, password: &str) -> bool {
    let expected = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
    request.header("authorization") == Some(&expected)
}
