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
    let config = config(global, &args.file, args.access())?;
    if args.get_login {
        return get_login(&config, &key);
    }
    let options = settings::options(&config, global, args.access())?;
    let mut known = None;
    if args.username.is_none() {
        let found = found(&config, &key)?;
        if let Some(found) = &found {
            print(&format!("Authenticating with existing credentials for {key}\n"))?;
            match check(&config, &key, &found.credentials, &options) {
                Ok(()) => return print(&format!("Existing credentials are valid. Already logged in to {key}\n")),
                Err(error) if error.is_unauthorized() => {
                    log::debug!("{}", error::one_line(&error));
                    print("Existing credentials are invalid, please enter valid username and password\n")?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        known = found.map(|found| found.credentials.username().to_owned());
    }
    let credentials = given(args, known.as_deref())?;
    check(&config, &key, &credentials, &options)?;
    let origin = config.store_login(&key, &credentials)?;
    log::debug!("the login to {key} is kept in {origin}");
    print("Login Succeeded!\n")
}

fn get_login(config: &Config, key: &AuthKey) -> Result<ExitCode, Failure> {
    let found = found(config, key)?.filter(|found| !found.credentials.username().is_empty());
    let found = found.ok_or_else(|| logins::Error::NotLoggedIn(key.clone()))?;
    print(&format!("{}\n", found.credentials.username()))
}

pub(super) fn logout(global: &Global, args: &LogoutArgs) -> Result<ExitCode, Failure> {
    let config = config(global, &args.file, args.file.access())?;
    let Some(registry) = args.registry.as_deref().filter(|_| !args.all) else {
        config.remove_all_logins()?;
        return print("Removed login credentials for all registries\n");
    };
    let key = AuthKey::of_argument(registry)?;
    match config.remove_login(&key) {
        Ok(_) => {
            let code = print(&format!("Removed login credentials for {key}\n"))?;
            if let Some(left) = found(&config, &key)? {
                log::warn!("images of {key} are still asked for with the login for {} in {}", left.key, left.origin);
            }
            Ok(code)
        }
        Err(error @ logins::Error::NotLoggedIn(_)) => match found(&config, &key)? {
            Some(found) => {
                Err(format!("{error} by this auth file: the login in use is for {} in {}", found.key, found.origin)
                    .into())
            }
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

fn config(global: &Global, file: &AuthFileArgs, access: super::args::Access) -> Result<Config, Failure> {
    let mut config = settings::config(global, &access)?;
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
