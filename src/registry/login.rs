//! Whether a registry accepts somebody.

use super::{Endpoint, Error, Operation, RegistryClient, expect_status};
use crate::http::{HeaderMap, StatusCode};
use crate::reference::Name;

/// Asks the registry of `name` at `/v2/` as the endpoint's identity. No repository is asked about: `name` may be any.
///
/// # Errors
/// Whatever any request can fail with. [`Error::is_unauthorized`] tells that the registry does not accept them.
pub fn check_login(name: &Name, endpoint: Endpoint) -> Result<(), Error> {
    let operation = Operation::LoggingIn { registry: name.domain().to_owned() };
    let client = RegistryClient::with_scopes(name.clone(), endpoint, Vec::new());
    let response = client.get_url(&operation, &client.join(&operation, "")?, HeaderMap::new())?;
    expect_status(&operation, response, &[StatusCode::OK]).map(super::Response::drain)
}
