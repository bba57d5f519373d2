//! The flags about a registry, for the source, the destination, or the only one there is; and what they come to.

use std::path::PathBuf;

use clap::Args;

use crate::Secret;

/// `--src-…`
#[allow(clippy::struct_field_names, reason = "the fields are the flags")]
#[derive(Args, Debug)]
pub(super) struct SrcRegistryArgs {
    /// Auth file for the source
    #[arg(long, value_name = "FILE", help_heading = "Source registry")]
    src_authfile: Option<PathBuf>,
    /// Directory with CA and client certificates for the source
    #[arg(long, value_name = "DIR", help_heading = "Source registry")]
    src_cert_dir: Option<PathBuf>,
    /// Credentials for the source. A password on the command line is visible to other users of this machine; without
    /// one it is asked for, or read from standard input
    #[arg(long, value_name = "USER[:PASSWORD]", help_heading = "Source registry", value_parser = secret,
          conflicts_with_all = ["src_no_creds", "src_registry_token"])]
    src_creds: Option<Secret<String>>,
    /// User name for the source, instead of --src-creds
    #[arg(long, value_name = "USER", help_heading = "Source registry", value_parser = username,
          conflicts_with_all = ["src_creds", "src_no_creds", "src_registry_token"])]
    src_username: Option<String>,
    /// Password of this user; without, as with --src-creds
    #[arg(long, value_name = "PASSWORD", help_heading = "Source registry", value_parser = secret, requires = "src_username")]
    src_password: Option<Secret<String>>,
    /// Ask the source without credentials
    #[arg(long, help_heading = "Source registry")]
    src_no_creds: bool,
    /// Bearer token for the source
    #[arg(long, value_name = "TOKEN", help_heading = "Source registry", value_parser = secret)]
    src_registry_token: Option<Secret<String>>,
    /// Verify the source's certificate and refuse plain http; the configuration decides unless given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          help_heading = "Source registry")]
    src_tls_verify: Option<bool>,
}

impl SrcRegistryArgs {
    /// The auth file for this side stands before the one for both.
    pub(super) fn access(&self, authfile: Option<&PathBuf>) -> Access {
        Access {
            authfile: self.src_authfile.as_ref().or(authfile).cloned(),
            cert_dir: self.src_cert_dir.clone(),
            creds: creds(self.src_creds.as_ref(), self.src_username.as_deref(), self.src_password.as_ref()),
            no_creds: self.src_no_creds,
            token: self.src_registry_token.clone(),
            tls_verify: self.src_tls_verify,
        }
    }
}

/// `--dest-…`
#[allow(clippy::struct_field_names, reason = "the fields are the flags")]
#[derive(Args, Debug)]
pub(super) struct DestRegistryArgs {
    /// Auth file for the destination
    #[arg(long, value_name = "FILE", help_heading = "Destination registry")]
    dest_authfile: Option<PathBuf>,
    /// Directory with CA and client certificates for the destination
    #[arg(long, value_name = "DIR", help_heading = "Destination registry")]
    dest_cert_dir: Option<PathBuf>,
    /// Credentials for the destination. A password on the command line is visible to other users of this machine; without
    /// one it is asked for, or read from standard input
    #[arg(long, value_name = "USER[:PASSWORD]", help_heading = "Destination registry", value_parser = secret,
          conflicts_with_all = ["dest_no_creds", "dest_registry_token"])]
    dest_creds: Option<Secret<String>>,
    /// User name for the destination, instead of --dest-creds
    #[arg(long, value_name = "USER", help_heading = "Destination registry", value_parser = username,
          conflicts_with_all = ["dest_creds", "dest_no_creds", "dest_registry_token"])]
    dest_username: Option<String>,
    /// Password of this user; without, as with --dest-creds
    #[arg(long, value_name = "PASSWORD", help_heading = "Destination registry", value_parser = secret, requires = "dest_username")]
    dest_password: Option<Secret<String>>,
    /// Ask the destination without credentials
    #[arg(long, help_heading = "Destination registry")]
    dest_no_creds: bool,
    /// Bearer token for the destination
    #[arg(long, value_name = "TOKEN", help_heading = "Destination registry", value_parser = secret)]
    dest_registry_token: Option<Secret<String>>,
    /// Verify the destination's certificate and refuse plain http; the configuration decides unless given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          help_heading = "Destination registry")]
    dest_tls_verify: Option<bool>,
}

impl DestRegistryArgs {
    /// The auth file for this side stands before the one for both.
    pub(super) fn access(&self, authfile: Option<&PathBuf>) -> Access {
        Access {
            authfile: self.dest_authfile.as_ref().or(authfile).cloned(),
            cert_dir: self.dest_cert_dir.clone(),
            creds: creds(self.dest_creds.as_ref(), self.dest_username.as_deref(), self.dest_password.as_ref()),
            no_creds: self.dest_no_creds,
            token: self.dest_registry_token.clone(),
            tls_verify: self.dest_tls_verify,
        }
    }
}

/// The same for commands with one image.
#[derive(Args, Debug)]
pub(super) struct RegistryArgs {
    /// Auth file to use instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    authfile: Option<PathBuf>,
    /// Directory with CA and client certificates
    #[arg(long, value_name = "DIR", help_heading = "Registry")]
    cert_dir: Option<PathBuf>,
    /// Credentials. A password on the command line is visible to other users of this machine; without one it is asked
    /// for, or read from standard input
    #[arg(long, value_name = "USER[:PASSWORD]", help_heading = "Registry", value_parser = secret,
          conflicts_with_all = ["no_creds", "registry_token"])]
    creds: Option<Secret<String>>,
    /// User name, instead of --creds
    #[arg(long, value_name = "USER", help_heading = "Registry", value_parser = username,
          conflicts_with_all = ["creds", "no_creds", "registry_token"])]
    username: Option<String>,
    /// Password of this user; without, as with --creds
    #[arg(long, value_name = "PASSWORD", help_heading = "Registry", value_parser = secret, requires = "username")]
    password: Option<Secret<String>>,
    /// Ask without credentials
    #[arg(long, help_heading = "Registry")]
    no_creds: bool,
    /// Bearer token
    #[arg(long, value_name = "TOKEN", help_heading = "Registry", value_parser = secret)]
    registry_token: Option<Secret<String>>,
    /// Verify the certificate and refuse plain http; the configuration decides unless given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          help_heading = "Registry")]
    tls_verify: Option<bool>,
}

impl RegistryArgs {
    pub(super) fn access(&self) -> Access {
        Access {
            authfile: self.authfile.clone(),
            cert_dir: self.cert_dir.clone(),
            creds: creds(self.creds.as_ref(), self.username.as_deref(), self.password.as_ref()),
            no_creds: self.no_creds,
            token: self.registry_token.clone(),
            tls_verify: self.tls_verify,
        }
    }
}

/// Access to a registry, whichever flags said it.
pub(super) struct Access {
    pub(super) authfile: Option<PathBuf>,
    pub(super) cert_dir: Option<PathBuf>,
    pub(super) creds: Option<Secret<String>>,
    pub(super) no_creds: bool,
    pub(super) token: Option<Secret<String>>,
    pub(super) tls_verify: Option<bool>,
}

impl Access {
    /// Without a password there is an empty one: enough where nothing is sent.
    pub(super) fn without_asking(mut self) -> Self {
        let with_password = |creds: Secret<String>| {
            if creds.expose().contains(':') { creds } else { Secret::new(format!("{}:", creds.expose())) }
        };
        self.creds = self.creds.map(with_password);
        self
    }
}

/// User and password, be they given together or apart.
fn creds(
    together: Option<&Secret<String>>,
    username: Option<&str>,
    password: Option<&Secret<String>>,
) -> Option<Secret<String>> {
    let apart = username.map(|username| match password {
        Some(password) => Secret::new(format!("{username}:{}", password.expose())),
        None => Secret::new(username.to_owned()),
    });
    together.cloned().or(apart)
}

/// A colon would begin the password.
fn username(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(':') {
        return Err("a user name is not empty, and has no colon (:) in it".to_owned());
    }
    Ok(text.to_owned())
}

#[allow(clippy::unnecessary_wraps, reason = "the form that clap wants")]
pub(super) fn secret(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}
