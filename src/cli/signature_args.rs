//! The command lines that are about signatures.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::registry_args::RegistryArgs;

/// `verify`
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// Images; docker:// may be left out
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<String>,
    /// Print a JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    /// Read manifest and signatures of the image from this directory (dir:), and ask nobody
    #[arg(long, value_name = "DIR")]
    pub(super) offline: Option<PathBuf>,
    /// Which manifests of an index must be allowed
    #[arg(long, value_name = "WHICH", default_value = "system")]
    pub(super) multi_arch: Judged,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

/// `verify --multi-arch`
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// What is copied for this machine, or for --override-os, --override-arch and --override-variant
    System,
    /// The index itself
    IndexOnly,
    /// The index and every instance
    All,
}

/// `copy` and `sync`: what becomes of signatures.
#[derive(Args, Debug)]
#[group(id = "signing", multiple = true)]
pub(super) struct SigningArgs {
    /// Leave the image's signatures behind
    #[arg(long, help_heading = "Signatures")]
    pub(super) remove_signatures: bool,
    /// Sign with the OpenPGP secret key in this file, as gpg --export-secret-keys writes it
    #[arg(long, value_name = "KEY-FILE", help_heading = "Signatures", group = "signers")]
    pub(super) sign_by: Option<PathBuf>,
    /// Sign with the sigstore private key in this file
    #[arg(long, value_name = "KEY-FILE", help_heading = "Signatures", group = "signers")]
    pub(super) sign_by_sigstore_private_key: Option<PathBuf>,
    /// File with the passphrase of the key; asked for without
    #[arg(long, value_name = "FILE", help_heading = "Signatures", requires = "signers")]
    pub(super) sign_passphrase_file: Option<PathBuf>,
}

/// `standalone-sign`
#[derive(Args, Debug)]
pub(super) struct StandaloneSignArgs {
    /// Manifest to sign
    #[arg(value_name = "MANIFEST")]
    pub(super) manifest: PathBuf,
    /// Name to sign
    #[arg(value_name = "DOCKER-REFERENCE")]
    pub(super) reference: String,
    /// OpenPGP secret key, as gpg --export-secret-keys writes it
    #[arg(value_name = "KEY-FILE")]
    pub(super) key: PathBuf,
    /// Where to write the signature
    #[arg(long, short = 'o', value_name = "SIGNATURE")]
    pub(super) output: PathBuf,
    /// File with the passphrase of the key; asked for without
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

/// `standalone-verify`
#[derive(Args, Debug)]
pub(super) struct StandaloneVerifyArgs {
    /// Manifest that is signed
    #[arg(value_name = "MANIFEST")]
    pub(super) manifest: PathBuf,
    /// Name that must be signed
    #[arg(value_name = "DOCKER-REFERENCE")]
    pub(super) reference: String,
    /// Fingerprints of keys that may have signed, with commas between them; or "any" of the file's
    #[arg(value_name = "KEY-FINGERPRINTS")]
    pub(super) fingerprints: String,
    /// Signature to verify
    #[arg(value_name = "SIGNATURE")]
    pub(super) signature: PathBuf,
    /// File with the public keys; gpg's keyring is not read
    #[arg(long, value_name = "FILE")]
    pub(super) public_key_file: PathBuf,
}

/// `generate-sigstore-key`
#[derive(Args, Debug)]
pub(super) struct GenerateSigstoreKeyArgs {
    /// The key pair is written to PREFIX.private and PREFIX.pub
    #[arg(long, value_name = "PREFIX")]
    pub(super) output_prefix: PathBuf,
    /// File with the passphrase to protect the private key; asked for without
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}
