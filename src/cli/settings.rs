//! What the flags mean for the library.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::args::Global;
use super::registry_args::Access;
use super::{Failure, Usage, interrupt};
use crate::Secret;
use crate::config::containerd::{HostsDirs, Registries};
use crate::config::credentials::Credentials;
use crate::config::{Config, Paths};
use crate::http::{Cancellable, Pace, RetryPolicy, Timeouts};
use crate::manifest::PlatformChoice;
use crate::policy::Policy;
use crate::reference::{ImageReference, ImageReferenceError, Reference};
use crate::registry::Identity;
use crate::source::{Network, Options};

/// Longer than that is a mistake.
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(60 * 60);

/// So is that, of a limit for a whole command.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// No password is longer, in bytes.
const MAX_PASSWORD_SIZE: u64 = 64 * 1024;

/// The administrator's files, as far as the flags do not name others.
pub(super) fn config(global: &Global, access: &Access) -> Result<Config, Failure> {
    let mut paths = Paths::default();
    paths.registries_conf = global.registries_conf.clone().or(paths.registries_conf);
    paths.registries_d = global.registries_d.clone().or(paths.registries_d);
    paths.policy_json = global.policy.clone().or(paths.policy_json);
    paths.auth_file = access.authfile.clone().or(paths.auth_file);
    let mut config = Config::load_from(paths)?;
    config.containerd = containerd(&config.paths, global)?;
    Ok(config)
}

/// The one family of containerd's files that was named.
fn containerd(paths: &Paths, global: &Global) -> Result<Option<Registries>, Failure> {
    Ok(match (global.hosts_dir.as_slice(), &global.containerd_config, &global.k3s_registries) {
        ([], None, None) => None,
        (_, Some(file), _) => Some(Registries::load_containerd_config(file, paths)?),
        (_, _, Some(file)) => Some(match Registries::load_k3s(file)? {
            Registries::K3s(mirrors) if global.disable_default_registry_endpoint => {
                Registries::K3s(mirrors.without_default_endpoint())
            }
            registries => registries,
        }),
        (dirs, ..) => Some(Registries::hosts_dirs(roots(dirs)?)),
    })
}

/// A tree that is named and not there is a mistake, and not one that says nothing. Of several some may be missing: who
/// names them all knows of machines that have the one or the other.
fn roots(dirs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let roots: Vec<_> = dirs.iter().flat_map(|dirs| HostsDirs::new(dirs).roots).collect();
    if roots.iter().any(|root| root.is_dir()) {
        return Ok(roots);
    }
    if let Some(file) = roots.iter().find(|root| root.exists()) {
        let expected = "a directory with a directory for each registry is expected";
        return Err(format!("--hosts-dir {}: {expected}, and this is a file", file.display()).into());
    }
    let names: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
    Err(format!("--hosts-dir {}: no such directory", names.join(":")).into())
}

pub(super) fn options(config: &Config, global: &Global, access: Access) -> Result<Options, Failure> {
    let idle = Duration::from_secs(global.idle_timeout());
    let timeouts = Timeouts {
        connect: Duration::from_secs(global.connect_timeout),
        idle,
        // Who may be silent for longer may be slow for as long.
        answer: Timeouts::DEFAULT.answer.max(idle),
        slowest: Pace { time: Timeouts::DEFAULT.slowest.time.max(idle), ..Timeouts::DEFAULT.slowest },
    };
    let credentials = access.creds.as_ref().map(credentials).transpose()?;
    let identity =
        (credentials.is_some() || access.token.is_some()).then_some(Identity { credentials, token: access.token });
    Ok(Options {
        network: Some(cancellable(Network::real(config, timeouts))),
        identity,
        identity_domain: None,
        anonymous: access.no_creds,
        tls_verify: access.tls_verify,
        cert_dir: access.cert_dir,
        retry: Some(retry_policy(global)),
        clients: None,
        parallel_ranges: None,
    })
}

fn retry_policy(global: &Global) -> RetryPolicy {
    let patient = RetryPolicy { attempts: global.retry_times.saturating_add(1), ..RetryPolicy::PATIENT };
    match global.retry_delay {
        None => patient,
        Some(delay) => RetryPolicy {
            first_delay: delay,
            is_steady: true,
            longest_delay: patient.longest_delay.max(delay),
            ..patient
        },
    }
}

/// `5s`, `1m30s`, or a number of seconds, at most an hour.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    duration_up_to(LONGEST_RETRY_DELAY, "1h", text)
}

/// The same for all that a command does: at most a week.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    duration_up_to(LONGEST_TIMEOUT, "168h", text)
}

fn duration_up_to(longest: Duration, in_words: &str, text: &str) -> Result<Duration, String> {
    let expected = || format!("{text:?} is not a time: give seconds, or such as 500ms, 5s, 1m30s, at most {in_words}");
    let duration = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let parsed = text.parse::<jiff::SignedDuration>().map_err(|_| expected())?;
        parsed.try_into().map_err(|_| expected())?
    };
    if duration > longest { Err(expected()) } else { Ok(duration) }
}

/// A network that is quiet once the command is interrupted.
fn cancellable(Network { wire, clock, health }: Network) -> Network {
    let cancelled = || Arc::clone(interrupt::cancelled());
    Network {
        wire: Arc::new(Cancellable::new(wire, cancelled())),
        clock: Arc::new(Cancellable::new(clock, cancelled())),
        health,
    }
}

/// `user:password`; without a password, it is asked for.
fn credentials(text: &Secret<String>) -> Result<Credentials, Failure> {
    let (username, password) = match text.expose().split_once(':') {
        Some((username, password)) => (username, Some(password.to_owned())),
        None => (text.expose().as_str(), None),
    };
    if username.is_empty() {
        return Err("credentials need a user name: USER or USER:PASSWORD".into());
    }
    let password = password.map_or_else(|| ask_password(username), Ok)?;
    Ok(Credentials::basic(username, password))
}

/// Asks without showing what is typed; from a pipe, one line is the password.
fn ask_password(username: &str) -> Result<String, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Ok(rpassword::prompt_password(format!("Password for {username}: "))?);
    }
    let mut line = String::new();
    stdin.lock().take(MAX_PASSWORD_SIZE).read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(format!("no password for {username}: give it as USER:PASSWORD or on standard input").into());
    }
    Ok(password.to_owned())
}

pub(super) fn policy(config: &Config, global: &Global) -> Result<Policy, Failure> {
    if global.insecure_policy {
        return Ok(Policy::insecure_accept_anything());
    }
    let mut policy = Policy::new(config.policy()?);
    if global.require_signed {
        policy = policy.requiring_signatures();
    }
    if global.accept_unnamed_bundles {
        policy = policy.accepting_unnamed_bundles();
    }
    Ok(policy)
}

pub(super) fn platform(global: &Global) -> PlatformChoice {
    PlatformChoice {
        os: global.override_os.clone(),
        architecture: global.override_arch.clone(),
        variant: global.override_variant.clone(),
    }
}

/// A place to write to. Nobody is guessed to mean a registry: what is written there is seen by others.
pub(super) fn destination(text: &str) -> Result<ImageReference, Failure> {
    match text.parse() {
        Err(ImageReferenceError::NoTransport { .. }) if !text.is_empty() => {
            let is_name = text.parse::<Reference>().is_ok();
            let registry = if is_name { format!(", or docker://{text} for a registry") } else { String::new() };
            let advice = format!("write dir:{text} or oci:{text}{registry}");
            Err(format!("{text:?} does not begin with a transport; {advice}").into())
        }
        outcome => Ok(outcome?),
    }
}

pub(super) fn image(text: &str) -> Result<ImageReference, Failure> {
    Ok(text.parse()?)
}

/// What is in a registry; `docker://` may be left out. Both a tag and a digest may be given here.
pub(super) fn registry_reference(text: &str) -> Result<Reference, Failure> {
    if let Some(name) = text.strip_prefix("docker://") {
        return Ok(name.parse()?);
    }
    match text.parse::<ImageReference>() {
        Ok(_) => {
            let text = format!("{text:?}: only docker:// is in a registry; what is called so there is docker://{text}");
            Err(Usage(text).into())
        }
        Err(_) => Ok(text.parse()?),
    }
}

/// An image reference; a name without a transport is one in a registry.
pub(super) fn image_or_name(text: &str) -> Result<ImageReference, Failure> {
    use ImageReferenceError::{NoTransport, UnknownTransport};
    match text.parse() {
        Err(NoTransport { meant: Some(meant), .. } | UnknownTransport { meant: Some(meant), .. }) => {
            Ok(ImageReference::Docker(meant.try_into()?))
        }
        outcome => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_or_has_units() {
        for (text, milliseconds) in
            [("0", 0), ("5", 5000), ("5s", 5000), ("500ms", 500), ("1m30s", 90_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "5x", "-5s", "-5", "2h", "99999999999999999999", "5 apples"] {
            assert!(duration(text).unwrap_err().contains("1m30s"), "{text}");
        }
    }
}
