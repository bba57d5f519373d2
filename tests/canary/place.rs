//! Where credentials come from.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use transship::Secret;
use transship::config::Paths;
use transship::config::credentials::Credentials;
use transship::registry::Identity;

use crate::origin::{Access, IDENTITY, PASSWORD, TOKEN, USER};
use crate::support::helpers::Helpers;

/// What the mirrors' own accounts are.
const MIRROR_ACCOUNT: (&str, &str) = ("canary-mirror-user", "canary-mirror-password");

/// A place that credentials for the origin can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    ExplicitCredentials,
    ExplicitToken,
    ExplicitBoth,
    AuthFileHost,
    AuthFileNamespace,
    AuthFileIdentityToken,
    AuthFileHelper,
    AuthFileStore,
    RegistriesConfHelper,
    RegistriesConfHelperIdentityToken,
}

impl Place {
    pub(crate) const ALL: [Self; 10] = [
        Self::ExplicitCredentials,
        Self::ExplicitToken,
        Self::ExplicitBoth,
        Self::AuthFileHost,
        Self::AuthFileNamespace,
        Self::AuthFileIdentityToken,
        Self::AuthFileHelper,
        Self::AuthFileStore,
        Self::RegistriesConfHelper,
        Self::RegistriesConfHelperIdentityToken,
    ];

    /// The ways to ask that such credentials answer.
    pub(crate) fn accesses(self) -> &'static [Access] {
        match self {
            Self::ExplicitToken | Self::AuthFileIdentityToken | Self::RegistriesConfHelperIdentityToken => {
                &[Access::Token]
            }
            _ => &[Access::Basic, Access::Token],
        }
    }

    /// True when there is a bearer token from the start.
    pub(crate) fn has_token(self) -> bool {
        matches!(self, Self::ExplicitToken | Self::ExplicitBoth)
    }

    /// What the caller says.
    pub(crate) fn identity(self) -> Option<Identity> {
        let (credentials, token) = (Credentials::basic(USER, PASSWORD), Secret::new(TOKEN.to_owned()));
        match self {
            Self::ExplicitCredentials => Some(Identity { credentials: Some(credentials), token: None }),
            Self::ExplicitToken => Some(Identity { credentials: None, token: Some(token) }),
            Self::ExplicitBoth => Some(Identity { credentials: Some(credentials), token: Some(token) }),
            _ => None,
        }
    }

    /// What the administrator writes at the top of registries.conf.
    pub(crate) fn registries_conf(self) -> &'static str {
        match self {
            Self::RegistriesConfHelper | Self::RegistriesConfHelperIdentityToken => {
                "credential-helpers = [\"canaries\"]\n"
            }
            _ => "",
        }
    }

    /// Writes the auth file and the helpers. The mirrors have accounts of their own, in the same places.
    pub(crate) fn plant(self, origin: &str, mirrors: &[String], root: &Path, paths: &mut Paths) -> Option<Helpers> {
        let file = root.join("auth.json");
        fs::write(&file, self.auth_file(origin, mirrors).to_string()).unwrap();
        paths.auth_file = Some(file);
        let helpers = self.helper_account().map(|account| {
            let own = mirrors.iter().map(|mirror| (mirror.as_str(), MIRROR_ACCOUNT));
            Helpers::new().with("canaries", &helper(own.chain([(origin, account)])))
        });
        paths.environment.search_path = helpers.as_ref().map(|helpers| helpers.path().into());
        helpers
    }

    fn auth_file(self, origin: &str, mirrors: &[String]) -> Value {
        let mut document = json!({"auths": {}});
        let auth = |(user, password): (&str, &str)| json!({"auth": BASE64.encode(format!("{user}:{password}"))});
        for mirror in mirrors {
            document["auths"][mirror] = auth(MIRROR_ACCOUNT);
        }
        match self {
            Self::AuthFileHost => document["auths"][origin] = auth((USER, PASSWORD)),
            Self::AuthFileNamespace => document["auths"][format!("{origin}/org")] = auth((USER, PASSWORD)),
            Self::AuthFileIdentityToken => {
                document["auths"][origin] = auth((USER, ""));
                document["auths"][origin]["identitytoken"] = json!(IDENTITY);
            }
            Self::AuthFileHelper => document["credHelpers"] = json!({origin: "canaries"}),
            Self::AuthFileStore => document["credsStore"] = json!("canaries"),
            _ => {}
        }
        document
    }

    /// What the helper says about the origin.
    fn helper_account(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AuthFileHelper | Self::AuthFileStore | Self::RegistriesConfHelper => Some((USER, PASSWORD)),
            Self::RegistriesConfHelperIdentityToken => Some(("<token>", IDENTITY)),
            _ => None,
        }
    }
}

/// The script of a helper with these accounts.
fn helper<'a>(accounts: impl Iterator<Item = (&'a str, (&'a str, &'a str))>) -> String {
    let answer = |(server, (user, secret)): (&str, (&str, &str))| {
        format!("'{server}') echo '{}';;\n", json!({"ServerURL": server, "Username": user, "Secret": secret}))
    };
    let known: String = accounts.map(answer).collect();
    format!(
        "read server\ncase \"$server\" in\n{known}*) echo 'credentials not found in native keychain'; exit 1;;\nesac"
    )
}
