//! Where would an image come from, with whose credentials, and which part of the policy decides? All of it is in the
//! administrator's files: no request is made. Nothing of this machine is read.

#![allow(clippy::print_stdout, reason = "it is an example")]

use std::error::Error;
use std::fs;
use std::path::Path;

use transship::config::containerd::Registries;
use transship::config::policy_json::Requirement;
use transship::config::{Config, Paths, PullSource};
use transship::policy::Policy;
use transship::{ImageReference, Reference};

mod support;

use support::{Files, Image, Registry, expect, indented};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    println!("1. A registry on loopback, which must not hear of us, is the mirror of the administrator.\n");
    let registry = Registry::new().image("mirror/app", "1", &Image::with_layers(["a layer"])).serve();
    let mirror = registry.authority();
    let registries_conf = format!(
        "[[registry]]
prefix = \"registry.example/org\"
location = \"internal.example:5000/org\"

[[registry.mirror]]
location = \"{mirror}/mirror\"
insecure = true

[[registry]]
location = \"blocked.example\"
blocked = true
"
    );
    println!("{}", indented(&registries_conf));
    let files = Files {
        registries_conf: &registries_conf,
        policy_json: r#"{
            "default": [{"type": "reject"}],
            "transports": {"docker": {
                "registry.example": [{"type": "insecureAcceptAnything"}],
                "registry.example/org": [{"type": "sigstoreSigned", "keyPath": "/etc/pki/org.pub"}]}}}"#,
        // deploy:the password of deploy
        auth_json: r#"{"auths": {"internal.example:5000": {"auth": "ZGVwbG95OnRoZSBwYXNzd29yZCBvZiBkZXBsb3k="}}}"#,
    };
    let mut config = files.load(place.path())?;
    let policy = Policy::new(config.policy()?);

    println!("2. An image below the prefix.");
    let explained = explain(&config, &policy, "registry.example/org/app:1")?;
    expect(
        explained.sources == [format!("{mirror}/mirror/app:1"), "internal.example:5000/org/app:1".to_owned()],
        "two",
    )?;
    expect(explained.users == [None, Some("deploy".to_owned())], "credentials for the origin alone")?;
    expect(explained.scope == "docker:registry.example/org", "the nearest scope of the policy")?;

    println!("3. One beside it.");
    let explained = explain(&config, &policy, "registry.example/other:1")?;
    expect(explained.sources == ["registry.example/other:1"] && explained.users == [None], "the registry itself")?;
    expect(explained.scope == "docker:registry.example", "the scope of the registry")?;

    println!("4. One that nobody has a rule for.");
    let explained = explain(&config, &policy, "elsewhere.example/app:1")?;
    expect(explained.scope == "default", "the default")?;

    println!("5. One in a registry that is blocked.");
    let image: ImageReference = "docker://blocked.example/app:1".parse()?;
    let error = transship::source::open(&config, &image).err().ok_or("expected: an error")?;
    println!("   {}\n", transship::error::one_line(&error));

    println!("6. The same image as containerd's files have it: registries.conf is not asked any more.");
    config.containerd = Some(containerd(place.path())?);
    let explained = explain(&config, &policy, "registry.example/org/app:1")?;
    expect(
        explained.sources == ["cache.example/org/app:1", "registry.example/org/app:1"],
        "the host, then the server",
    )?;
    expect(explained.users == [Some("cache".to_owned()), None], "credentials of the config.toml, for its host alone")?;

    println!("7. The mirror has received {} requests.", registry.requests().len());
    expect(registry.requests().is_empty(), "no request")
}

/// A config.toml that leads to a tree of hosts.toml, and has who we are to one of its hosts.
fn containerd(root: &Path) -> Result<Registries, Box<dyn Error>> {
    let tree = root.join("certs.d");
    fs::create_dir_all(tree.join("registry.example"))?;
    let hosts_toml =
        "server = \"https://registry.example\"\n\n[host.\"https://cache.example\"]\ncapabilities = [\"pull\"]\n";
    fs::write(tree.join("registry.example/hosts.toml"), hosts_toml)?;
    let config_toml = format!(
        "version = 3

[plugins.\"io.containerd.cri.v1.images\".registry]
config_path = '{}'

[plugins.\"io.containerd.cri.v1.images\".registry.configs.\"cache.example\".auth]
username = \"cache\"
password = \"the password of cache\"
",
        tree.display()
    );
    println!("{}", indented(&format!("{hosts_toml}\n{config_toml}")));
    let file = root.join("config.toml");
    fs::write(&file, config_toml)?;
    Ok(Registries::load_containerd_config(&file, &Paths::isolated(root))?)
}

/// What is said of an image.
struct Explained {
    sources: Vec<String>,
    users: Vec<Option<String>>,
    scope: String,
}

fn explain(config: &Config, policy: &Policy, name: &str) -> Result<Explained, Box<dyn Error>> {
    let logical: Reference = name.parse()?;
    let (scope, requirements) = policy.requirements(&format!("docker://{name}").parse()?);
    let requirements: Vec<_> = requirements.iter().map(Requirement::type_name).collect();
    println!("   {name}: {} decides: {}", scope, requirements.join(", "));
    let mut explained = Explained { sources: Vec::new(), users: Vec::new(), scope: scope.to_string() };
    for source in config.pull_sources(&logical)? {
        let kind = if source.mirror { "mirror" } else { "origin" };
        let (user, login) = login(config, &source)?;
        println!("   {kind} {}, {login}", source.physical);
        explained.sources.push(source.physical.to_string());
        explained.users.push(user);
    }
    println!();
    Ok(explained)
}

/// Who we are to a source, as containerd's files say it, or else the auth files. What is printed here never has a secret in
/// it: there is no way to print one by mistake.
fn login(config: &Config, source: &PullSource) -> Result<(Option<String>, String), Box<dyn Error>> {
    Ok(match config.credentials_at(source)? {
        None => (None, "without a login".to_owned()),
        Some(found) => {
            let user = found.credentials.username().to_owned();
            let login = format!("as {user} ({}, {})", found.kind(), found.key);
            (Some(user), login)
        }
    })
}
