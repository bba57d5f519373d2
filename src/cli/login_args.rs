//! `login` and `logout`, as typed.

use std::path::PathBuf;

use clap::Args;

use super::registry_args::{Access, secret};
use crate::Secret;

/// `login`
#[derive(Args, Debug)]
pub(super) struct LoginArgs {
    /// Registry, or a part of one: quay.io, localhost:5000, quay.io/org
    #[arg(value_name = "REGISTRY[/NAMESPACE]")]
    pub(super) registry: String,
    /// User name; asked for without
    #[arg(long, short = 'u', value_name = "USER")]
    pub(super) username: Option<String>,
    /// Password, which is visible to other users of this machine here; asked for without
    #[arg(long, short = 'p', value_name = "PASSWORD", value_parser = secret,
          conflicts_with = "password_stdin")]
    pub(super) password: Option<Secret<String>>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub(super) password_stdin: bool,
    /// Print the user name of the login there is; nothing is asked and nothing is changed
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin"])]
    pub(super) get_login: bool,
    /// Say where the login is kept
    #[arg(long, short = 'v')]
    pub(super) verbose: bool,
    #[command(flatten)]
    pub(super) file: AuthFileArgs,
    /// Directory with CA and client certificates
    #[arg(long, value_name = "DIR", help_heading = "Registry")]
    cert_dir: Option<PathBuf>,
    /// Verify the certificate and refuse plain http; the configuration decides unless given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          help_heading = "Registry")]
    tls_verify: Option<bool>,
}

/// `logout`
#[derive(Args, Debug)]
pub(super) struct LogoutArgs {
    /// Registry, or a part of one, as it was logged in to
    #[arg(value_name = "REGISTRY[/NAMESPACE]", required_unless_present = "all", conflicts_with = "all")]
    pub(super) registry: Option<String>,
    /// Forget all logins of the auth file
    #[arg(long, short = 'a')]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) file: AuthFileArgs,
}

/// Where logins are kept.
#[derive(Args, Debug)]
pub(super) struct AuthFileArgs {
    /// Auth file to use instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub(super) authfile: Option<PathBuf>,
    /// Configuration file of docker's to use instead, in a way that docker understands
    #[arg(long, value_name = "FILE", help_heading = "Registry", conflicts_with = "authfile")]
    pub(super) compat_auth_file: Option<PathBuf>,
}

impl LoginArgs {
    pub(super) fn access(&self) -> Access {
        let (cert_dir, tls_verify) = (self.cert_dir.clone(), self.tls_verify);
        Access { cert_dir, tls_verify, ..self.file.access() }
    }
}

impl AuthFileArgs {
    pub(super) fn access(&self) -> Access {
        Access {
            authfile: self.authfile.clone(),
            cert_dir: None,
            creds: None,
            no_creds: false,
            token: None,
            tls_verify: None,
        }
    }
}
