//! Trying a login.

use super::settings::Settings;
use super::{Error, Options};
use crate::config::Config;
use crate::config::auth_file::AuthKey;
use crate::registry;

/// Asks a registry whether it accepts the options' identity; without one, that which is configured for `key`.
///
/// The registry is asked where `key` says that it is: credentials are for what is contacted, not for a name that leads
/// elsewhere. One that lets everybody in accepts whatever it is told.
///
/// # Errors
/// [`Error::is_unauthorized`] tells that the registry does not accept it.
pub fn check_login(config: &Config, key: &AuthKey, options: &Options) -> Result<(), Error> {
    let repository = key.repository()?;
    let settings = Settings::new(config, repository.domain(), options);
    let name = repository.name().clone();
    registry::check_login(&name, settings.login_endpoint(repository)?).map_err(Error::Registry)
}
