//! The registry that the credentials are for, and the traps that it can set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::support::image::Image;
use crate::support::reply::Reply;
use crate::support::request::ReceivedRequest;

/// Whatever of this is seen elsewhere is a leak; so is the token that the origin issues.
pub(crate) const USER: &str = "canary-origin-user";
pub(crate) const PASSWORD: &str = "canary-origin-password";
pub(crate) const TOKEN: &str = "canary-origin-token";
pub(crate) const IDENTITY: &str = "canary-origin-identity";
const ISSUED: &str = "canary-origin-issued";

/// Where a redirect that left the origin leads back to.
pub(crate) const BACK: &str = "/back/";

/// How the origin asks who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Basic,
    Token,
}

/// What the origin does that brings others into play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trap {
    None,
    Redirect,
    RedirectThereAndBack,
    ExternalLayer,
    InsecureRealm,
    TokenRedirect,
    TagsElsewhere,
}

impl Trap {
    /// Some traps are about tokens.
    pub(crate) fn works_with(self, access: Access) -> bool {
        access == Access::Token || !matches!(self, Self::InsecureRealm | Self::TokenRedirect)
    }
}

/// The origin's script.
pub(crate) struct Origin {
    pub(crate) access: Access,
    pub(crate) trap: Trap,
    /// The URL of the first bystander.
    pub(crate) elsewhere: String,
}

impl Origin {
    pub(crate) fn answer(&self, request: &ReceivedRequest) -> Reply {
        let (path, host) = (request.path(), request.header("host").unwrap());
        if path == "/token" {
            return self.answer_token(request);
        }
        if path.starts_with(BACK) {
            return serve_blob(path);
        }
        if !self.admits(request) {
            return Reply::new(401).header("WWW-Authenticate", &self.challenge(host));
        }
        match self.trap {
            _ if path.contains("/manifests/") => self.answer_manifest(),
            Trap::TagsElsewhere => {
                let link = format!("<{}/v2/org/app/tags/list?last=1>; rel=\"next\"", self.elsewhere);
                Reply::json(&json!({"tags": ["1"]})).header("Link", &link)
            }
            Trap::Redirect => Reply::redirect(307, &format!("{}{path}", self.elsewhere)),
            Trap::RedirectThereAndBack => {
                let back = format!("https://{host}{BACK}{}", path.rsplit('/').next().unwrap());
                Reply::redirect(307, &format!("{}{path}?n={back}", self.elsewhere))
            }
            _ => serve_blob(path),
        }
    }

    fn answer_token(&self, request: &ReceivedRequest) -> Reply {
        if self.trap == Trap::TokenRedirect {
            return Reply::redirect(307, &format!("{}/token", self.elsewhere));
        }
        let is_known = request.header("authorization") == Some(&basic()) || request.form("refresh_token") == [IDENTITY];
        if is_known { Reply::json(&json!({"token": ISSUED})) } else { Reply::new(401) }
    }

    fn admits(&self, request: &ReceivedRequest) -> bool {
        request.header("authorization").is_some_and(|shown| match self.access {
            Access::Basic => shown == basic(),
            Access::Token => [TOKEN, ISSUED].iter().any(|token| shown == format!("Bearer {token}")),
        })
    }

    fn challenge(&self, host: &str) -> String {
        let bearer = |realm: &str| format!("Bearer realm=\"{realm}/token\",service=\"origin\"");
        match (self.trap, self.access) {
            (Trap::InsecureRealm, _) => bearer(&self.elsewhere),
            (_, Access::Token) => bearer(&format!("https://{host}")),
            (_, Access::Basic) => "Basic realm=\"origin\"".to_owned(),
        }
    }

    fn answer_manifest(&self) -> Reply {
        let mut manifest: Value = serde_json::from_slice(&image().manifest()).unwrap();
        if self.trap == Trap::ExternalLayer {
            manifest["layers"][0]["urls"] = json!([format!("{}/layer", self.elsewhere)]);
        }
        Reply::json(&manifest).with_header("Content-Type", image().media_type())
    }
}

pub(crate) fn image() -> Image {
    Image::with_layers(["the lower layer", "the upper layer"])
}

/// The blob that the path ends with the digest of.
pub(crate) fn serve_blob(path: &str) -> Reply {
    let blob = image().blobs().into_iter().find(|(digest, _)| path.ends_with(digest.as_str()));
    blob.map_or(Reply::new(404), |(_, bytes)| Reply::ok(bytes))
}

fn basic() -> String {
    format!("Basic {}", BASE64.encode(format!("{USER}:{PASSWORD}")))
}
