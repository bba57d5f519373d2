//! Looking up the addresses of a name.

use std::net::IpAddr;
use std::sync::mpsc;
use std::thread;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration;
use ureq::{Error, Timeout};

/// The system's resolver, for no longer than the limit: it knows none itself. ureq's own way of that panics where there
/// is no thread to be had, and takes one for an address too.
#[derive(Debug, Default)]
pub(super) struct LimitedResolver;

impl Resolver for LimitedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return look_up(uri, config);
        }
        let (uri_there, config_there) = (uri.clone(), config.clone());
        let limit = *timeout.after;
        within(limit, move || look_up(&uri_there, &config_there)).unwrap_or(Err(Error::Timeout(Timeout::Resolve)))
    }
}

/// What ureq would report like a refused connection, a name without an address, is not worth a retry.
fn look_up(uri: &Uri, config: &Config) -> Result<ResolvedSocketAddrs, Error> {
    let unlimited = NextTimeout { after: Duration::NotHappening, ..NextTimeout::default() };
    DefaultResolver::default().resolve(uri, config, unlimited).map_err(|error| match error {
        Error::Io(reason) => {
            log::debug!("{}: {reason}", uri.host().unwrap_or_default());
            Error::HostNotFound
        }
        other => other,
    })
}

/// What `ask` says, or `None` when it takes too long: then its thread ends by itself. Without a thread it is asked here.
fn within<T: Send + 'static>(limit: std::time::Duration, ask: impl Fn() -> T + Clone + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    let there = ask.clone();
    let run = move || {
        // Nobody may wait any more.
        let _ = sender.send(there());
    };
    if thread::Builder::new().name("resolve".to_owned()).spawn(run).is_err() {
        return Some(ask());
    }
    receiver.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_that_does_not_end_is_given_up() {
        assert_eq!(within(std::time::Duration::from_secs(60), || 1), Some(1));
        let endless = || {
            loop {
                thread::park();
            }
        };
        assert_eq!(within::<()>(std::time::Duration::from_millis(10), endless), None);
    }
}
