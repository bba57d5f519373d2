//! `explain`: where an image would come from, and which file decides. No request is made.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{ExplainArgs, Global};
use super::output::print;
use super::{Failure, settings};
use crate::config::policy_json::Requirement;
use crate::config::registries_conf::Location;
use crate::config::{Config, PullSource};
use crate::error;
use crate::policy::{self, Policy};
use crate::reference::{ImageReference, Reference};
use crate::source::Options;

pub(super) fn run(global: &Global, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    // A configuration that cannot be loaded is every image's error: still one line for each.
    let explainer = Explainer::new(global, args).map_err(|failure| error::one_line(&*failure));
    let explain = |image: &String| match &explainer {
        Ok(explainer) => explainer.image(image).map_err(|failure| error::one_line(&*failure)),
        Err(message) => Err(message.clone()),
    };
    let outcomes: Vec<_> = args.images.iter().map(|image| (image, explain(image))).collect();
    let failed = outcomes.iter().any(|(_, outcome)| outcome.is_err());
    let values = outcomes
        .into_iter()
        .map(|(image, outcome)| outcome.unwrap_or_else(|message| json!({"image": image, "error": message})));
    let text = if args.json {
        values.map(|value| value.to_string() + "\n").collect::<String>()
    } else {
        values.map(|value| page(&value)).collect::<Vec<_>>().join("\n")
    };
    match print(&text) {
        // Who closed the pipe has seen enough; what failed has failed all the same.
        Err(failure) if !super::is_broken_pipe(&*failure) => Err(failure),
        _ => Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }),
    }
}

/// The configuration, asked about one image after the other.
struct Explainer {
    config: Config,
    policy: Policy,
    options: Options,
}

impl Explainer {
    fn new(global: &Global, args: &ExplainArgs) -> Result<Self, Failure> {
        let access = args.registry.access();
        let config = settings::config(global, &access)?;
        let policy = settings::policy(&config, global)?;
        let options = settings::options(&config, global, access.without_asking())?;
        Ok(Self { config, policy, options })
    }

    fn image(&self, text: &str) -> Result<Value, Failure> {
        let image = settings::image_or_name(text)?;
        let (scope, requirements) = self.policy.requirements(&image);
        let judged = policy::resolved(&image);
        let types: Vec<_> = requirements.iter().map(Requirement::type_name).collect();
        let (registry, sources) = match &image {
            ImageReference::Docker(docker) => self.registry(docker.reference())?,
            _ => (Value::Null, Vec::new()),
        };
        let logical = match &image {
            ImageReference::Docker(docker) => docker.reference().to_string(),
            other => other.to_string(),
        };
        Ok(json!({
            "image": text,
            "logical": logical,
            "policy": {"identity": judged.policy_identity(), "namespaces": judged.policy_namespaces()},
            "registry": registry,
            "sources": sources,
            "requirements": {"scope": scope.to_string(), "types": types},
        }))
    }

    fn registry(&self, logical: &Reference) -> Result<(Value, Vec<Value>), Failure> {
        let registry = self.config.registries.find(logical).map_or(Value::Null, |registry| {
            json!({
                "prefix": registry.prefix.as_str(),
                "location": registry.location.as_ref().map_or("", Location::as_str),
                "blocked": registry.blocked,
                "file": registry.place.file().display().to_string(),
            })
        });
        let pull_sources = self.config.pull_sources(logical)?;
        let sources = pull_sources.iter().map(|source| self.source(logical, source)).collect::<Result<_, _>>()?;
        Ok((registry, sources))
    }

    fn source(&self, logical: &Reference, source: &PullSource) -> Result<Value, Failure> {
        let physical = &source.physical;
        let insecure = self.options.tls_verify.map_or(source.insecure, |verify| !verify);
        let certs_dir = match &self.options.cert_dir {
            Some(dir) => Some(dir.clone()),
            None => self.config.certs(physical.domain())?.path,
        };
        Ok(json!({
            "reference": physical.to_string(),
            "location": source.location,
            "insecure": insecure,
            "mirror": source.mirror,
            "credentials": self.credentials(logical, physical)?,
            "certs_dir": certs_dir.map(|dir| dir.display().to_string()),
            "lookaside": self.config.registries_d.lookaside(physical)?.to_string(),
            "attachments": self.config.registries_d.use_sigstore_attachments(physical),
        }))
    }

    /// Whose credentials would be sent; never the secret.
    fn credentials(&self, logical: &Reference, physical: &Reference) -> Result<Value, Failure> {
        if self.options.anonymous {
            return Ok(Value::Null);
        }
        let explicit = self.options.identity.as_ref().filter(|_| physical.domain() == logical.domain());
        if let Some(identity) = explicit {
            let username = identity.credentials.as_ref().map(|credentials| credentials.username().to_owned());
            let kind = if identity.token.is_some() { "token" } else { "basic" };
            return Ok(json!({"file": null, "key": null, "username": username, "kind": kind}));
        }
        Ok(self.config.credentials(physical)?.map_or(Value::Null, |found| {
            json!({
                "file": found.origin.to_string(),
                "key": found.key,
                "username": found.credentials.username(),
                "kind": found.kind().to_string(),
            })
        }))
    }
}

/// The same for a person.
fn page(value: &Value) -> String {
    let mut page = title(&text(value, "/image"));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(page, "  {name:<14}{value}");
    };
    if let Some(message) = value.get("error").and_then(Value::as_str) {
        line("error", message.to_owned());
        return page;
    }
    line("logical", text(value, "/logical"));
    line("policy", format!("{} (scope {})", list(value, "/requirements/types"), text(value, "/requirements/scope")));
    if let Some(registry) = value.get("registry").filter(|registry| registry.is_object()) {
        let blocked = if is_true(registry, "/blocked") { ", blocked" } else { "" };
        line("registry", format!("prefix {}{blocked}, in {}", text(registry, "/prefix"), text(registry, "/file")));
    }
    for source in value.get("sources").and_then(Value::as_array).into_iter().flatten() {
        let kind = if is_true(source, "/mirror") { "mirror" } else { "origin" };
        let insecure = if is_true(source, "/insecure") { " (insecure)" } else { "" };
        line(kind, format!("{}{insecure}", text(source, "/reference")));
        if let Some(credentials) = source.get("credentials").filter(|credentials| credentials.is_object()) {
            let from = credentials.get("file").and_then(Value::as_str).unwrap_or("the command line");
            line("", format!("as {} ({}, from {from})", text(credentials, "/username"), text(credentials, "/kind")));
        }
        for (field, words) in [("certs_dir", "certificates in"), ("lookaside", "signatures at")] {
            if let Some(place) = source.get(field).and_then(Value::as_str) {
                line("", format!("{words} {place}"));
            }
        }
        if is_true(source, "/attachments") {
            line("", "signatures attached in the registry".to_owned());
        }
    }
    page
}

/// The image as it was given, unless that is not one line.
fn title(image: &str) -> String {
    let is_plain = !image.is_empty() && !image.contains(char::is_control);
    if is_plain { format!("{image}\n") } else { format!("{image:?}\n") }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("none").to_owned()
}

fn list(value: &Value, pointer: &str) -> String {
    let items = value.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn is_true(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}
