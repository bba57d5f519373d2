use std::path::{Path, PathBuf};

use serde_json::Value;
use transship::config::auth_file::WriteError;
use transship::config::paths::AuthFileCandidate;
use transship::config::{Config, Environment, Error, Paths};

use crate::{table, write};

const DIRECTORY: &str = "${TMPDIR}";

/// A home directory, the system's files in the real root, and the files of the `sys` of a case.
fn paths(home: &Path, sys: &Value) -> Paths {
    let mut paths = Paths::isolated(home);
    paths.environment.home = Some(home.to_owned());
    let text = |key: &str| sys[key].as_str().map(PathBuf::from);
    paths.environment.system_root = text("RootForImplicitAbsolutePaths").unwrap_or_else(|| "/".into());
    paths.registries_conf = text("SystemRegistriesConfPath");
    paths.registries_conf_dir = text("SystemRegistriesConfDirPath");
    paths.registries_d = text("RegistriesDirPath");
    paths.policy_json = text("SignaturePolicyPath");
    paths.auth_file = text("AuthFilePath");
    paths.legacy_auth_file = text("LegacyFormatAuthFilePath");
    paths.cert_dir = text("DockerCertPath");
    paths.certs_dir = text("DockerPerHostCertDirPath");
    paths
}

fn expected(case: &Value, home: &Path) -> PathBuf {
    PathBuf::from(case["expected"].as_str().unwrap().replace(DIRECTORY, home.to_str().unwrap()))
}

#[test]
fn registries_conf_is_the_named_the_users_or_the_systems() {
    for case in table("registries_conf", "config_paths") {
        let home = tempfile::tempdir().unwrap();
        if case["userfilePresent"] == true {
            write(&home.path().join(".config/containers/registries.conf"), "");
        }
        let found = paths(home.path(), &case["sys"]).registries_conf();
        assert_eq!(found.path, expected(&case, home.path()), "{case}");
        assert_eq!(found.explicit, case["sys"].get("SystemRegistriesConfPath").is_some());
    }
}

#[test]
fn a_named_drop_in_directory_is_read_alone() {
    let root = tempfile::tempdir().unwrap();
    let mut paths = Paths::isolated(root.path());
    let system = root.path().join("etc/containers/registries.conf.d");
    let user = root.path().join("home/.config/containers/registries.conf.d");
    assert_eq!(paths.registries_conf_dirs(), [system.clone(), user.clone()]);
    write(&root.path().join("home/.config/containers/registries.conf"), "");
    assert_eq!(
        paths.registries_conf_dirs(),
        std::slice::from_ref(&user),
        "the user's file replaces the system's configuration"
    );
    paths.environment.registries_conf = Some("/named".into());
    assert_eq!(paths.registries_conf_dirs(), [system, user]);
    paths.environment.registries_conf_dir = Some("/env".into());
    assert_eq!(paths.registries_conf_dirs(), [Path::new("/env")]);
    paths.registries_conf_dir = Some("/named.d".into());
    assert_eq!(paths.registries_conf_dirs(), [Path::new("/named.d")]);
}

#[test]
fn registries_d_is_one_directory() {
    for case in table("registries_d", "dir_path") {
        let home = tempfile::tempdir().unwrap();
        if case["userFilePresent"] == true {
            std::fs::create_dir_all(home.path().join(".config/containers/registries.d")).unwrap();
        }
        let found = paths(home.path(), &case["sys"]).registries_d();
        assert_eq!(found, expected(&case, home.path()), "{case}");
    }
}

#[test]
fn policy_json_is_the_named_the_users_or_the_systems_and_never_missing() {
    for case in table("policy_lookup", "default_policy_path") {
        // The test of the table moves the system's file below the home directory; here the root is moved instead.
        let home = tempfile::tempdir().unwrap();
        let root = case["sys"]["RootForImplicitAbsolutePaths"].as_str().unwrap_or_default();
        let root = home.path().join(root.trim_start_matches('/'));
        let mut paths = paths(home.path(), &case["sys"]);
        paths.environment.system_root = root.clone();
        if case["systemfilePresent"] == true {
            write(&root.join("etc/containers/policy.json"), "");
        }
        if case["userfilePresent"] == true {
            write(&home.path().join(".config/containers/policy.json"), "");
        }
        let named = case["sys"]["SignaturePolicyPath"].as_str().map(PathBuf::from);
        match paths.policy_json() {
            Ok(path) => assert_eq!(path, named.unwrap_or_else(|| root.join("etc/containers/policy.json")), "{case}"),
            Err(Error::NoPolicy { searched }) => {
                assert_ne!(case["expectedError"], "", "{case}");
                assert_eq!(searched.len(), 2);
            }
            Err(error) => panic!("{case}: {error}"),
        }
    }
    let home = tempfile::tempdir().unwrap();
    let user = home.path().join("home/.config/containers/policy.json");
    write(&user, "");
    assert_eq!(Paths::isolated(home.path()).policy_json().unwrap(), user, "the user's comes before the system's");
}

/// The rows of other systems say what is found there; these run where they are true.
#[test]
fn the_first_auth_file_is_the_named_or_that_of_the_session() {
    for case in table("auth", "path_to_auth").iter().filter(|case| case["os"] == std::env::consts::OS) {
        let home = tempfile::tempdir().unwrap();
        let mut paths = paths(home.path(), &case["sys"]);
        let runtime = case["xrd"].as_str().unwrap().replace(DIRECTORY, home.path().to_str().unwrap());
        paths.environment.xdg_runtime_dir = (!runtime.is_empty()).then(|| runtime.into());
        let uid = paths.environment.uid.to_string();
        let home_text = home.path().to_str().unwrap();
        let expected = case["expected"].as_str().unwrap().replace("${UID}", &uid).replace("${HOME}", home_text);
        let first = paths.auth_files().remove(0);
        if expected.is_empty() {
            // An error for who writes; who reads goes on with the next file.
            assert_eq!(first.path, home.path().join(".config/containers/auth.json"));
            assert!(matches!(paths.auth_file_to_write(), Err(WriteError::NoDirectory(_))), "{case}");
            continue;
        }
        let candidate = AuthFileCandidate {
            path: expected.into(),
            legacy: case["legacyFormat"].as_bool().unwrap(),
            explicit: case["expectedUserSpecified"].as_bool().unwrap(),
        };
        assert_eq!(first, candidate, "{case}");
        match paths.auth_file_to_write() {
            Ok(target) => assert_eq!((target.path, target.for_docker), (first.path, false), "{case}"),
            Err(error) => assert!(matches!(error, WriteError::Legacy(_)) && first.legacy, "{case}: {error}"),
        }
    }
}

#[test]
fn the_auth_file_that_is_written_is_the_first_that_is_read() {
    let root = tempfile::tempdir().unwrap();
    let mut paths = Paths::isolated(root.path());
    paths.environment.registry_auth_file = Some("/env".into());
    assert_eq!(paths.auth_file_to_write().unwrap().path, Path::new("/env"));
    paths.docker_auth_file = Some("/docker".into());
    let target = paths.auth_file_to_write().unwrap();
    assert_eq!((target.path.as_path(), target.for_docker), (Path::new("/docker"), true));
    assert_eq!(paths.auth_files(), [AuthFileCandidate { path: "/docker".into(), legacy: false, explicit: true }]);
    paths.auth_file = Some("/named".into());
    let target = paths.auth_file_to_write().unwrap();
    assert_eq!((target.path.as_path(), target.for_docker), (Path::new("/named"), false));
}

#[test]
fn auth_files_of_podman_come_before_those_of_docker_and_the_old_form_is_last() {
    let root = tempfile::tempdir().unwrap();
    let mut paths = Paths::isolated(root.path());
    let found = |paths: &Paths| -> Vec<(String, bool)> {
        let relative = |file: &AuthFileCandidate| {
            file.path.strip_prefix(root.path()).unwrap_or(&file.path).to_str().unwrap().to_owned()
        };
        paths.auth_files().iter().filter(|file| !file.explicit).map(|file| (relative(file), file.legacy)).collect()
    };
    let own = |files: &[(&str, bool)]| -> Vec<(String, bool)> {
        files.iter().map(|(path, legacy)| ((*path).to_owned(), *legacy)).collect()
    };
    let config = ("home/.config/containers/auth.json", false);
    if cfg!(target_os = "linux") {
        let session = ("run/containers/65534/auth.json", false);
        let docker = ("home/.docker/config.json", false);
        assert_eq!(found(&paths), own(&[session, config, docker, ("home/.dockercfg", true)]));
        paths.environment.docker_config = Some("/docker".into());
        paths.environment.xdg_config_home = Some("/xdg".into());
        let moved =
            [session, ("/xdg/containers/auth.json", false), ("/docker/config.json", false), ("home/.dockercfg", true)];
        assert_eq!(found(&paths), own(&moved));
    }
    paths.environment.registry_auth_file = Some("/env".into());
    assert_eq!(paths.auth_files(), [AuthFileCandidate { path: "/env".into(), legacy: false, explicit: true }]);
    paths.auth_file = Some("/named".into());
    assert_eq!(paths.auth_files()[0].path, Path::new("/named"));
}

#[test]
fn certificates_of_a_registry_are_in_the_named_directory_or_in_one_of_three() {
    let host = "thishostdefinitelydoesnotexist:5000";
    for case in table("docker_http", "cert_dir") {
        let home = tempfile::tempdir().unwrap();
        let directories = paths(home.path(), &case["sys"]).certs_dirs(host);
        assert_eq!(*directories.last().unwrap(), expected(&case, home.path()), "{case}");
    }
    let root = tempfile::tempdir().unwrap();
    let mut paths = Paths::isolated(root.path());
    let three = ["home/.config/containers/certs.d", "etc/containers/certs.d", "etc/docker/certs.d"];
    assert_eq!(paths.certs_dirs(host), three.map(|base| root.path().join(base).join(host)));
    paths.certs_dir = Some("/base".into());
    assert_eq!(paths.certs_dirs(host), [Path::new("/base").join(host)]);
}

#[test]
fn the_default_signature_store_is_the_systems_for_root_only() {
    let mut paths = Paths::isolated(Path::new("/r"));
    assert_eq!(paths.default_lookaside_dir(), Some("/r/home/.local/share/containers/sigstore".into()));
    paths.environment.uid = 0;
    assert_eq!(paths.default_lookaside_dir(), Some("/r/var/lib/containers/sigstore".into()));
    paths.environment.rootless_uid = Some(1000);
    assert_eq!(paths.default_lookaside_dir(), Some("/r/home/.local/share/containers/sigstore".into()));
}

#[test]
fn what_is_learned_of_blobs_is_in_the_user_s_cache_or_for_root_in_the_system_s() {
    let mut paths = Paths::isolated(Path::new("/r"));
    assert_eq!(paths.blob_info_dir(), Some("/r/home/.cache/transship/blob-info".into()));
    paths.environment.uid = 0;
    assert_eq!(paths.blob_info_dir(), Some("/r/var/cache/transship/blob-info".into()));
    paths.environment.rootless_uid = Some(1000);
    assert_eq!(paths.blob_info_dir(), Some("/r/home/.cache/transship/blob-info".into()));
    paths.environment.home = None;
    assert_eq!(paths.blob_info_dir(), None);
    // By the specification of these directories, one that is not absolute does not count.
    for (value, expected) in [("/x", Some("/x/transship/blob-info".into())), ("x", None)] {
        paths.environment.xdg_cache_home = Some(value.into());
        assert_eq!(paths.blob_info_dir(), expected);
    }
}

#[test]
fn the_user_id_of_the_process_is_that_of_the_files_it_makes() {
    use std::os::unix::fs::MetadataExt as _;
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(Environment::of_process().uid, file.as_file().metadata().unwrap().uid());
}

#[test]
fn an_isolated_configuration_sees_nothing_of_the_machine() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::load_from(Paths::isolated(root.path())).unwrap();
    assert!(config.registries.files().is_empty() && config.registries_d.files().is_empty());
    assert!(matches!(config.policy(), Err(Error::NoPolicy { .. })));
}
