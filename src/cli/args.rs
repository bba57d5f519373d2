//! The command line, as typed. The flags are skopeo's wherever skopeo has the same thing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::completion::CompletedShell;
use super::delete::DeleteArgs;
use super::fetch_args::{FetchBlobArgs, FetchObjectArgs};
use super::login_args::{LoginArgs, LogoutArgs};
use super::registry_args::RegistryArgs;
use super::settings;
use super::signature_args::{GenerateSigstoreKeyArgs, StandaloneSignArgs, StandaloneVerifyArgs, VerifyArgs};
use super::store_args::{ImagesArgs, PruneArgs, PullArgs, RmiArgs};
use super::sync_args::SyncArgs;
use super::transfer_args::TransferArgs;
use crate::http::{RetryPolicy, Timeouts};
use crate::reference::Reference;

const AFTER_HELP: &str = "Examples:
  transship copy docker://quay.io/podman/hello dir:hello
  transship explain quay.io/podman/hello

Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  the image is not there
  4  the registry wants (other) credentials
  5  the policy does not allow the image
  6  nobody can tell whether the policy allows it
  129, 130, 143  cancelled by SIGHUP, by Ctrl-C, by SIGTERM";

/// Container images from registries, through the administrator's mirrors, verified.
#[derive(Parser, Debug)]
#[command(name = "transship", version, disable_version_flag = true, after_help = AFTER_HELP, max_term_width = 100)]
pub(super) struct Cli {
    /// Print the version
    #[arg(long, short = 'v', short_alias = 'V', action = ArgAction::Version)]
    version: Option<bool>,
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command knows.
#[allow(clippy::struct_excessive_bools, reason = "the fields are the flags")]
#[derive(Args, Debug, Clone)]
pub(super) struct Global {
    /// Say what is being done, on standard error
    #[arg(long, global = true)]
    pub(super) debug: bool,
    /// Signature policy to use instead of the system's
    #[arg(long, global = true, value_name = "FILE", help_heading = "Configuration")]
    pub(super) policy: Option<PathBuf>,
    /// Allow every image, whatever the policy says
    #[arg(long, global = true, conflicts_with = "policy", help_heading = "Configuration")]
    pub(super) insecure_policy: bool,
    /// Refuse images for which nothing in the policy looks at signatures
    #[arg(long, global = true, conflicts_with = "insecure_policy", help_heading = "Configuration")]
    pub(super) require_signed: bool,
    /// Take the digest in a sigstore bundle for enough where the bundle names no image, as those of cosign 3 do
    #[arg(long, global = true, conflicts_with = "insecure_policy", help_heading = "Configuration")]
    pub(super) accept_unnamed_bundles: bool,
    /// registries.conf to use instead of the user's and the system's
    #[arg(long, global = true, value_name = "FILE", help_heading = "Configuration")]
    pub(super) registries_conf: Option<PathBuf>,
    /// Directory of containerd's hosts.toml files to use instead of registries.conf; several have colons between them
    #[arg(long, global = true, value_name = "DIR", help_heading = "Configuration",
          conflicts_with_all = ["registries_conf", "containerd_config", "k3s_registries"])]
    pub(super) hosts_dir: Vec<PathBuf>,
    /// config.toml of containerd to use instead of registries.conf
    #[arg(long, global = true, value_name = "FILE", help_heading = "Configuration",
          conflicts_with_all = ["registries_conf", "k3s_registries"])]
    pub(super) containerd_config: Option<PathBuf>,
    /// registries.yaml of k3s to use instead of registries.conf
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Configuration",
        conflicts_with = "registries_conf"
    )]
    pub(super) k3s_registries: Option<PathBuf>,
    /// With --k3s-registries: never ask a registry itself that has mirrors there, as k3s' own flag of this name
    #[arg(long, global = true, help_heading = "Configuration", requires = "k3s_registries")]
    pub(super) disable_default_registry_endpoint: bool,
    /// Directory of signature store configuration to use instead of the system's
    #[arg(long = "registries.d", global = true, value_name = "DIR", help_heading = "Configuration")]
    pub(super) registries_d: Option<PathBuf>,
    /// Architecture to choose from an index instead of this machine's, such as arm64
    #[arg(long, global = true, value_name = "ARCH", help_heading = "Platform")]
    pub(super) override_arch: Option<String>,
    /// Operating system to choose from an index instead of this machine's
    #[arg(long, global = true, value_name = "OS", help_heading = "Platform")]
    pub(super) override_os: Option<String>,
    /// Variant of the architecture to choose from an index, such as v7
    #[arg(long, global = true, value_name = "VARIANT", help_heading = "Platform")]
    pub(super) override_variant: Option<String>,
    /// Seconds to wait for a connection
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30, help_heading = "Network",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) connect_timeout: u64,
    /// Seconds to wait for a server that sends nothing; 60 unless given
    #[arg(long, global = true, value_name = "SECONDS", help_heading = "Network",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) idle_timeout: Option<u64>,
    /// Times to ask once more after an error that may pass
    #[arg(long, global = true, value_name = "N", default_value_t = RetryPolicy::PATIENT.attempts - 1,
          help_heading = "Network")]
    pub(super) retry_times: u32,
    /// Time to wait before each of them, such as 5s or 1m30s, at most an hour; half a second that doubles unless given
    #[arg(long, global = true, value_name = "DURATION", help_heading = "Network", value_parser = settings::duration)]
    pub(super) retry_delay: Option<Duration>,
}

impl Global {
    /// For any server; a command may have more patience with one where nobody has said how much.
    pub(super) fn idle_timeout(&self) -> u64 {
        self.idle_timeout.unwrap_or(Timeouts::DEFAULT.idle.as_secs())
    }
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Copy an image to a registry, a directory, a layout or an archive
    #[command(after_help = "Examples:
  transship copy --all docker://busybox:1.36 oci:layout:busybox
  transship copy dir:hello docker://localhost:5000/hello --dest-tls-verify=false")]
    Copy(Box<CopyArgs>),
    /// Copy many images between registries and directories, but for those that are there already
    #[command(after_help = "Examples:
  transship sync --src docker --dest dir --scoped quay.io/podman/hello /media/usb
  transship sync --src yaml --dest docker --keep-going images.yaml registry.example/mirror")]
    Sync(Box<SyncArgs>),
    /// Pull an image into a store: an OCI layout with images under their ids, tags and digests
    #[command(after_help = "Examples:
  transship pull --store images busybox:1.36
  transship pull --store images --platform linux/arm64 --progress-timeout 1m quay.io/podman/hello")]
    Pull(Box<PullArgs>),
    /// List the images of a store
    #[command(after_help = "Examples:
  transship images --store images
  transship images --store images --json")]
    Images(ImagesArgs),
    /// Remove names from a store; their content stays until `prune`
    #[command(after_help = "Examples:
  transship rmi --store images busybox:1.36
  transship rmi --store images 5f3a1c")]
    Rmi(RmiArgs),
    /// Remove from a store what no name holds
    #[command(after_help = "Examples:
  transship prune --store images --dry-run
  transship prune --store images")]
    Prune(PruneArgs),
    /// Describe an image without copying it
    #[command(after_help = "Examples:
  transship inspect docker://busybox
  transship inspect --format '{{.Digest}}' docker://quay.io/podman/hello")]
    Inspect(InspectArgs),
    /// List the tags of a repository or of an archive
    #[command(after_help = "Examples:
  transship list-tags docker://quay.io/podman/hello
  transship list-tags docker://localhost:5000/app --tls-verify=false")]
    ListTags(ListTagsArgs),
    /// Delete an image from a registry or a layout
    #[command(after_help = "Examples:
  transship delete docker://localhost:5000/app:1 --tls-verify=false
  transship delete oci:layout:busybox")]
    Delete(DeleteArgs),
    /// Log in to a registry: check user name and password, and keep them for later
    #[command(after_help = "Examples:
  transship login --username alice quay.io
  transship login -u alice --password-stdin localhost:5000/org --tls-verify=false")]
    Login(LoginArgs),
    /// Forget the login to a registry
    #[command(after_help = "Examples:
  transship logout quay.io
  transship logout --all --authfile auth.json")]
    Logout(LogoutArgs),
    /// Print the digest of a manifest file
    #[command(after_help = "Examples:
  transship manifest-digest image/manifest.json
  transship inspect --raw docker://busybox | transship manifest-digest /dev/stdin")]
    ManifestDigest {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write what a reference names to standard output, byte for byte: a manifest, or by digest any content
    #[command(after_help = "Examples:
  transship fetch-object quay.io/podman/hello
  transship fetch-object docker://busybox:1.36 sha256:0123… --output layer.tar.gz")]
    FetchObject(FetchObjectArgs),
    /// Write content of a repository to standard output by its digest, without asking for any image
    #[command(after_help = "Examples:
  transship fetch-blob quay.io/podman/hello sha256:0123… --media-type application/json
  transship fetch-blob localhost:5000/app sha256:0123… --tls-verify=false --output layer.tar.gz")]
    FetchBlob(FetchBlobArgs),
    /// Say where an image would come from, and who decides that; no request is made without --fetch
    #[command(after_help = "Examples:
  transship explain --fetch quay.io/podman/hello
  transship explain --json docker://busybox docker://localhost:5000/app:1")]
    Explain(ExplainArgs),
    /// Say whether the policy allows an image, and why; nothing is copied
    #[command(after_help = "Examples:
  transship verify quay.io/podman/hello
  transship verify --json --offline ./hello docker://quay.io/podman/hello:latest

Exit codes:
  0  every image is allowed
  5  the policy does not allow one
  6  nobody can tell for one, and none is refused")]
    Verify(VerifyArgs),
    /// Sign a manifest file with an OpenPGP key
    #[command(after_help = "Examples:
  transship standalone-sign manifest.json quay.io/podman/hello:1 key.gpg --output hello.signature
  transship standalone-sign m.json quay.io/org/app:1 key.gpg -o app.sig --passphrase-file secret")]
    StandaloneSign(StandaloneSignArgs),
    /// Verify an OpenPGP signature of a manifest file
    #[command(after_help = "Examples:
  transship standalone-verify m.json quay.io/podman/hello:1 any hello.sig --public-key-file key.gpg
  transship standalone-verify m.json quay.io/org/app:1 $FINGERPRINT app.sig --public-key-file k.gpg")]
    StandaloneVerify(StandaloneVerifyArgs),
    /// Print what a signature says without verifying it: nothing of it is to be believed
    #[command(
        alias = "untrusted-signature-dump-without-verification",
        after_help = "Examples:
  transship untrusted-signature-dump hello/signature-1
  transship untrusted-signature-dump /var/lib/containers/sigstore/org/app@sha256=0123…/signature-1"
    )]
    UntrustedSignatureDump {
        /// The file
        #[arg(value_name = "SIGNATURE")]
        file: PathBuf,
    },
    /// Make a key pair for sigstore signatures
    #[command(after_help = "Examples:
  transship generate-sigstore-key --output-prefix mykey
  transship generate-sigstore-key --output-prefix mykey --passphrase-file secret")]
    GenerateSigstoreKey(GenerateSigstoreKeyArgs),
    /// Print what makes a shell complete the words of this program
    #[command(after_help = "Examples:
  transship completion bash > /usr/share/bash-completion/completions/transship
  transship completion fish > ~/.config/fish/completions/transship.fish")]
    Completion {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: CompletedShell,
    },
}

/// `copy`
#[derive(Args, Debug)]
pub(super) struct CopyArgs {
    /// Image to read: docker://…, dir:…, oci:…, oci-archive:… or docker-archive:…
    #[arg(value_name = "SOURCE")]
    pub(super) source: String,
    /// Place to write: docker://…, dir:…, oci:…, oci-archive:… or docker-archive:…
    #[arg(value_name = "DESTINATION")]
    pub(super) destination: String,
    /// One more tag for the image in a docker-archive:, such as quay.io/org/app:1
    #[arg(long, value_name = "REFERENCE", value_delimiter = ',')]
    pub(super) additional_tag: Vec<Reference>,
    /// Write the digest of the manifest that was written to this file
    #[arg(long, value_name = "FILE")]
    pub(super) digestfile: Option<PathBuf>,
    #[command(flatten)]
    pub(super) transfer: TransferArgs,
    /// Name to sign; the destination's, where that is in a registry
    #[arg(long, value_name = "REFERENCE", help_heading = "Signatures", requires = "signers")]
    pub(super) sign_identity: Option<String>,
}

/// `inspect`
#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// Image to describe: docker://…, dir:…, oci:…, oci-archive:… or docker-archive:…
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,
    /// Print the manifest, or with --config the config, byte for byte
    #[arg(long)]
    pub(super) raw: bool,
    /// Print the image's config, in OCI's form
    #[arg(long)]
    pub(super) config: bool,
    /// Print a Go template, such as '{{.Name}} {{.Digest}}'
    #[arg(long, short = 'f', value_name = "TEMPLATE", conflicts_with = "raw")]
    pub(super) format: Option<String>,
    /// Leave the repository's tags out, which saves a request
    #[arg(long, short = 'n')]
    pub(super) no_tags: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

/// `list-tags`
#[derive(Args, Debug)]
pub(super) struct ListTagsArgs {
    /// Repository, docker://…, or archive, docker-archive:…
    #[arg(value_name = "REPOSITORY")]
    pub(super) repository: String,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

/// `explain`
#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// Images; docker:// may be left out
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<String>,
    /// Fetch each image too, keep nothing of it, and say which source delivered which bytes; the policy is not asked
    #[arg(long)]
    pub(super) fetch: bool,
    /// Print a JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}
