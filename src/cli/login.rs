//! `login` and `logout`

use std::process::ExitCode;

use super::args::Global;
use super::login_args::{AuthFileArgs, LoginArgs, LogoutArgs};
use super::output::print;
use super::{Failure, password, settings};
use crate::config::auth_file::{self, AuthKey};
use crate::config::credentials::{self, Credentials, FoundCredentials};
use crate::config::{Config, login as logins};
use crate::error;
use crate::registry::Identity;
use crate::source::{self, Options};

pub(super) fn login(global: &Global, args: &LoginArgs) -> Result<ExitCode, Failure> {
    let key = AuthKey::for_login(&args.registry)?;
    let config = config(global, &args.file)?;
    if args.get_login {
        return get_login(&config, &key);
    }
    if config.containerd.is_some() {
        log::warn!("the files of containerd or k3s are not heeded: a login is tried at {key} itself");
    }
    let options = settings::options(&config, global, args.access())?;
    let known = if args.username.is_none() && args.password.is_none() { usable(&config, &key) } else { None };
    if let Some(known) = &known
        && is_accepted(&config, &key, known, &options)?
    {
        return print(&format!("Existing credentials are valid. Already logged in to {key}\n"));
    }
    let credentials = given(args, known.as_ref().map(Credentials::username))?;
    check(&config, &key, &credentials, &options)?;
    let origin = config.store_login(&key, &credentials)?;
    if args.verbose {
        print(&format!("Used:  {origin}\n"))?;
    }
    print("Login Succeeded!\n")
}

/// The login there is. One that cannot be read is about to be replaced.
fn usable(config: &Config, key: &AuthKey) -> Option<Credentials> {
    let found = found(config, key).unwrap_or_else(|failure| {
        log::warn!("{}", error::one_line(&*failure));
        None
    });
    found.map(|found| found.credentials)
}

/// Whether the registry accepts the login there is; says so, as podman and skopeo do.
fn is_accepted(config: &Config, key: &AuthKey, known: &Credentials, options: &Options) -> Result<bool, Failure> {
    print(&format!("Authenticating with existing credentials for {key}\n"))?;
    match check(config, key, known, options) {
        Ok(()) => Ok(true),
        Err(error) if error.is_unauthorized() => {
            log::debug!("{}", error::one_line(&error));
            print("Existing credentials are invalid, please enter valid username and password\n")?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

fn get_login(config: &Config, key: &AuthKey) -> Result<ExitCode, Failure> {
    let found = found(config, key)?.filter(|found| !found.credentials.username().is_empty());
    let found = found.ok_or_else(|| logins::Error::NotLoggedIn(key.clone()))?;
    print(&format!("{}\n", found.credentials.username()))
}

pub(super) fn logout(global: &Global, args: &LogoutArgs) -> Result<ExitCode, Failure> {
    let config = config(global, &args.file)?;
    let Some(registry) = args.registry.as_deref().filter(|_| !args.all) else {
        config.remove_all_logins()?;
        return print("Removed login credentials for all registries\n");
    };
    let key = AuthKey::of_argument(registry)?;
    match config.remove_login(&key) {
        Ok(_) => {
            if let Some(left) = still_there(&config, &key) {
                log::warn!("images of {key} are still asked for with the login for {} in {}", left.key, left.origin);
            }
            print(&format!("Removed login credentials for {key}\n"))
        }
        Err(error @ logins::Error::NotLoggedIn(_)) => Err(match still_there(&config, &key) {
            Some(left) => {
                format!("{error} by this auth file: the login in use is for {} in {}", left.key, left.origin).into()
            }
            None => error.into(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// The login that counts after a logout. Whoever has it and fails has nothing to do with the logout.
fn still_there(config: &Config, key: &AuthKey) -> Option<FoundCredentials> {
    found(config, key).unwrap_or_else(|failure| {
        log::debug!("{}", error::one_line(&*failure));
        None
    })
}

fn config(global: &Global, file: &AuthFileArgs) -> Result<Config, Failure> {
    let mut config = settings::config(global, &file.access())?;
    config.paths.docker_auth_file.clone_from(&file.compat_auth_file);
    Ok(config)
}

/// The login there is. An auth file that is named may be about to be made.
fn found(config: &Config, key: &AuthKey) -> Result<Option<FoundCredentials>, Failure> {
    match config.credentials_for(key) {
        Err(credentials::Error::AuthFile(auth_file::Error::Missing(_))) => Ok(None),
        outcome => Ok(outcome?),
    }
}

fn check(config: &Config, key: &AuthKey, credentials: &Credentials, options: &Options) -> Result<(), source::Error> {
    let identity = Identity { credentials: Some(credentials.clone()), token: None };
    source::check_login(config, key, &Options { identity: Some(identity), ..options.clone() })
}

/// What the flags say, and what they leave open from whoever sits at the terminal.
fn given(args: &LoginArgs, known: Option<&str>) -> Result<Credentials, Failure> {
    let username = match &args.username {
        Some(username) => username.clone(),
        None => password::username(known)?,
    };
    if username.is_empty() || username.contains(':') {
        return Err(logins::Error::Username.into());
    }
    let password = match &args.password {
        Some(password) => {
            log::warn!("a password on the command line is seen by every user of this machine; use --password-stdin");
            password.clone()
        }
        None if args.password_stdin => password::of_stdin()?,
        None => password::typed()?,
    };
    if password.expose().is_empty() {
        return Err("the password is empty".into());
    }
    Ok(Credentials::basic(username, password.expose().as_str()))
}
