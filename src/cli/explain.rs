//! `explain`: where an image would come from, and which file decides. Only `--fetch` makes requests.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{ExplainArgs, Global};
use super::output::print_done;
use super::{Failure, explain_fetch, settings};
use crate::config::certs_d::CertsDir;
use crate::config::credentials::Credentials;
use crate::config::policy_json::Requirement;
use crate::config::registries_conf::Location;
use crate::config::{Config, Host, PullSource};
use crate::error;
use crate::manifest::PlatformChoice;
use crate::policy::{self, Policy};
use crate::reference::{ImageReference, Reference};
use crate::registry::Identity;
use crate::source::Options;

pub(super) fn run(global: &Global, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    // A configuration that cannot be loaded is every image's error: still one line for each.
    let explainer = Explainer::new(global, args).map_err(|failure| error::one_line(&*failure));
    let explain = |image: &String| match &explainer {
        Ok(explainer) => explainer.image(image).map_err(|failure| error::one_line(&*failure)),
        Err(message) => Err(message.clone()),
    };
    let outcomes: Vec<_> = args.images.iter().map(|image| (image, explain(image))).collect();
    let failed = outcomes.iter().any(|(_, outcome)| outcome.as_ref().map_or(true, is_unfetched));
    let values = outcomes
        .into_iter()
        .map(|(image, outcome)| outcome.unwrap_or_else(|message| json!({"image": image, "error": message})));
    let text = if args.json {
        values.map(|value| value.to_string() + "\n").collect::<String>()
    } else {
        values.map(|value| page(&value)).collect::<Vec<_>>().join("\n")
    };
    print_done(&text)?;
    // What failed has failed, whoever has read it.
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The configuration, asked about one image after the other.
struct Explainer {
    config: Config,
    policy: Policy,
    options: Options,
    /// The platform to fetch, if anything.
    fetch: Option<PlatformChoice>,
}

impl Explainer {
    fn new(global: &Global, args: &ExplainArgs) -> Result<Self, Failure> {
        let access = args.registry.access();
        let config = settings::config(global, &access)?;
        let policy = settings::policy(&config, global)?;
        let access = if args.fetch { access } else { access.without_asking() };
        let options = settings::options(&config, global, access)?;
        let fetch = args.fetch.then(|| settings::platform(global));
        Ok(Self { config, policy, options, fetch })
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
        let mut told = json!({
            "image": text,
            "logical": logical,
            "policy": {"identity": judged.policy_identity(), "namespaces": judged.policy_namespaces()},
            "registry": registry,
            "sources": sources,
            "requirements": {"scope": scope.to_string(), "types": types},
        });
        if let (Some(told), Some(platform)) = (told.as_object_mut(), &self.fetch) {
            told.insert("fetched".to_owned(), self.fetched(&image, platform));
        }
        Ok(told)
    }

    /// What is on this machine comes from nobody else.
    fn fetched(&self, image: &ImageReference, platform: &PlatformChoice) -> Value {
        match image {
            ImageReference::Docker(docker) => {
                explain_fetch::fetched(&self.config, docker.reference(), &self.options, platform)
            }
            _ => Value::Null,
        }
    }

    fn registry(&self, logical: &Reference) -> Result<(Value, Vec<Value>), Failure> {
        // Whose rules those of registries.conf are not.
        let registries = self.config.containerd.is_none().then_some(&self.config.registries);
        let registry = registries.and_then(|registries| registries.find(logical)).map_or(Value::Null, |registry| {
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
        let certs_dir = match (&self.options.cert_dir, &source.host) {
            (Some(dir), _) => Some(dir.clone()),
            (None, Some(host)) => host.certs.path.clone(),
            (None, None) => self.config.certs(physical.domain())?.path,
        };
        let mut told = json!({
            "reference": physical.to_string(),
            "location": source.location,
            "insecure": insecure,
            "mirror": source.mirror,
            "credentials": self.credentials(logical, source)?,
            "certs_dir": certs_dir.map(|dir| dir.display().to_string()),
            "lookaside": self.config.registries_d.lookaside(physical)?.to_string(),
            "attachments": self.config.registries_d.use_sigstore_attachments(physical),
        });
        if let (Some(told), Some(of_containerd)) = (told.as_object_mut(), source.host.as_deref()) {
            told.insert("host".to_owned(), host(of_containerd, &self.options));
        }
        Ok(told)
    }

    /// Whose credentials would be sent; never the secret.
    fn credentials(&self, logical: &Reference, source: &PullSource) -> Result<Value, Failure> {
        if let Some(Identity { credentials, token }) =
            self.options.explicit_identity(logical.domain(), &source.physical)
        {
            let username = credentials.as_ref().map(Credentials::username);
            let kind = match (&username, token) {
                (None, None) => return Ok(Value::Null),
                (Some(_), None) => "basic",
                (_, Some(_)) => "token",
            };
            return Ok(json!({"file": null, "key": null, "username": username, "kind": kind}));
        }
        Ok(self.config.credentials_at(source)?.map_or(Value::Null, |found| {
            json!({
                "file": found.origin.to_string(),
                "key": found.key,
                "username": found.credentials.username(),
                "kind": found.kind().to_string(),
            })
        }))
    }
}

/// What containerd's files say of a host; no value of a header, which may be a secret.
fn host(host: &Host, options: &Options) -> Value {
    let (base, or_http) = host.effective(options.tls_verify);
    let headers: Vec<_> = host.headers.iter().map(|header| header.name.as_str()).collect();
    // One directory for every registry stands in their place.
    let none = CertsDir::default();
    let certs = if options.cert_dir.is_some() { &none } else { &host.certs };
    let authorities: Vec<_> = certs.authorities.iter().map(|file| file.path.display().to_string()).collect();
    // The others are not shown to anybody.
    let client = certs.clients.first().map(|pair| pair.certificate.path.display().to_string());
    json!({
        "base": base.to_string(),
        "or_http": or_http,
        "capabilities": host.capabilities.to_string(),
        "ns": host.namespace,
        "rewrite": host.rewrite,
        "headers": headers,
        "ca": authorities,
        "client": client,
        "dial_timeout": host.dial_timeout.map(|limit| format!("{limit:?}")),
        "place": host.place.as_ref().map(ToString::to_string),
    })
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
        for told in source.get("host").map(told_of_host).unwrap_or_default() {
            line("", told);
        }
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
    if value.get("sources").and_then(Value::as_array).is_some_and(|sources| sources.len() > 1) {
        line("order", "as above; who does not connect, stalls or answers 5xx is asked last for a while".to_owned());
    }
    for (name, text) in value.get("fetched").map(explain_fetch::lines).unwrap_or_default() {
        line(name, text);
    }
    page
}

/// True for an image that was to be fetched, and was not.
fn is_unfetched(value: &Value) -> bool {
    value.pointer("/fetched/error").is_some_and(Value::is_string)
}

/// The lines about a host of containerd's files.
fn told_of_host(host: &Value) -> Vec<String> {
    if !host.is_object() {
        return Vec::new();
    }
    let or_http = if is_true(host, "/or_http") { ", or http" } else { "" };
    let at = format!("at {}{or_http} ({})", text(host, "/base"), text(host, "/capabilities"));
    let told = |field: &str, words: &str| Some(format!("{words} {}", host.get(field)?.as_str()?));
    let authorities = Some(list(host, "/ca")).filter(|files| !files.is_empty());
    let lines = [
        Some(at),
        told("rewrite", "by the rewrite"),
        told("ns", "for"),
        authorities.map(|files| format!("also trusting {files}")),
        told("client", "showing"),
        told("dial_timeout", "connected to within"),
        told("place", "as said in"),
    ];
    lines.into_iter().flatten().collect()
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
