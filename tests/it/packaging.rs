//! The packages as they are described: every file is there, both carry the same, the unit is well and shuts the server in, and no script has a slip. That they install and
//! run is shown by `packaging/try`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use toml::Table;
use toml::Value;
use vestibule::app::config::Config;

/// What `packaging/build` makes besides the program, each of it by the page, the completions or the documents that it collects.
const MADE: [&str; 4] = ["target/package/man/", "target/package/completions/", "target/package/doc/", "target/package/examples/"];
const PROGRAM: &str = "target/release/vestibule";
/// Places that each family of distributions has for itself.
const ELSEWHERE: [&str; 4] = [
    "usr/share/lintian/overrides/vestibule",
    "usr/share/licenses/vestibule/LICENSE",
    "usr/share/zsh/vendor-completions/",
    "usr/share/zsh/site-functions/_vestibule",
];
/// The most of `systemd-analyze security`, in tenths.
const EXPOSURE_MAX: &str = "--threshold=16";

#[test]
fn every_file_that_the_packages_name_is_there() {
    let deb = metadata("deb");
    let named = ["license-file", "extended-description-file", "changelog", "maintainer-scripts"];
    let mut paths: Vec<String> = named.iter().map(|key| first_text(&deb[*key])).collect();
    let rpm = metadata("generate-rpm");
    paths.extend(rpm.iter().filter(|(key, _)| key.ends_with("_script")).map(|(_, value)| first_text(value)));
    paths.extend(deb_assets().into_keys().chain(rpm_assets().into_keys()));
    assert!(paths.len() > 30, "{paths:?}");
    for path in paths {
        let made = path == PROGRAM || MADE.iter().any(|folder| path.starts_with(folder));
        assert!(made || root().join(&path).exists(), "{path} is not there");
    }
}

#[test]
fn both_packages_put_the_same_files_in_the_same_places_with_the_same_rights() {
    // A destination that is a folder gets the name of the file.
    let whole = |(source, (place, mode)): (String, (String, String))| {
        let place = place.trim_start_matches('/').to_owned();
        let name = Path::new(&source).file_name().unwrap().to_str().unwrap().to_owned();
        (if place.ends_with('/') && name != "*" { place + &name } else { place }, mode)
    };
    let differs = |(place, _): &(String, String)| !ELSEWHERE.iter().any(|own| place.starts_with(own));
    let [deb, rpm] = [deb_assets(), rpm_assets()].map(|assets| assets.into_iter().map(whole).filter(differs).collect::<BTreeSet<_>>());
    assert_eq!(deb, rpm);
}

#[test]
fn the_configuration_that_comes_along_is_right_and_is_kept_by_both_packages() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("master-key"), "0b".repeat(32)).unwrap();
    let config = Config::load_with(&root().join("packaging/vestibule.toml"), Some(folder.path().to_owned())).unwrap();
    let place = "/etc/vestibule/vestibule.toml";
    // All that is left to do is what only its administrator knows.
    assert_eq!(config.warnings.iter().map(|warning| warning.message.as_str()).collect::<Vec<_>>(), ["opens no door: nobody can log in"]);
    assert_eq!(metadata("deb")["conf-files"].as_array().unwrap(), &[Value::from(place)]);
    let asset = rpm_tables().into_iter().find(|asset| asset["dest"].as_str() == Some(place)).unwrap();
    assert_eq!((asset["config"].as_str(), asset["group"].as_str(), asset["mode"].as_str()), (Some("noreplace"), Some("vestibule"), Some("640")));
    // The unit opens its folders for the server, and the server puts its things there and nowhere else.
    let unit = fs::read_to_string(root().join("systemd/vestibule.service")).unwrap();
    assert!(unit.contains(&format!("\nEnvironment=VESTIBULE_CONFIG={place}\n")));
    assert!(unit.contains("\nStateDirectory=vestibule\n") && config.store.data_dir == Path::new("/var/lib/vestibule"));
    assert!(unit.contains("\nRuntimeDirectory=vestibule\n") && config.admin.socket.parent() == Some(Path::new("/run/vestibule")));
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let machine = tempfile::tempdir().unwrap();
    let [programs, units] = ["usr/bin", "usr/lib/systemd/system"].map(|folder| machine.path().join(folder));
    fs::create_dir_all(&programs).unwrap();
    fs::create_dir_all(&units).unwrap();
    fs::copy("/bin/true", programs.join("vestibule")).unwrap();
    for name in ["vestibule.service", "vestibule.socket"] {
        fs::copy(root().join("systemd").join(name), units.join(name)).unwrap();
    }
    let inside = format!("--root={}", machine.path().display());
    must("systemd-analyze", &["verify", "--man=no", "--recursive-errors=no", &inside, "vestibule.service", "vestibule.socket"]);
    let drop_in = units.join("vestibule.service.d/winbind.conf");
    fs::create_dir_all(drop_in.parent().unwrap()).unwrap();
    fs::copy(root().join("systemd/winbind.conf"), drop_in).unwrap();
    must("systemd-analyze", &["verify", "--man=no", "--recursive-errors=no", &inside, "vestibule.service"]);
}

#[test]
fn o_10_the_units_exposure_is_at_most_1_6() {
    let unit = root().join("systemd/vestibule.service");
    must("systemd-analyze", &["security", "--no-pager", "--offline=yes", EXPOSURE_MAX, unit.to_str().unwrap()]);
}

#[test]
fn the_scripts_have_no_slip() {
    for script in scripts_of_maintainers() {
        let path = script.to_str().unwrap();
        must("sh", &["-n", path]);
        must("shellcheck", &["--shell=sh", path]);
        // A package that downloads something installs what nobody looked at.
        let text = fs::read_to_string(&script).unwrap();
        for word in ["curl", "wget", "apt-get", "dnf ", "http:", "https:"] {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
    let folder = root().join("packaging");
    let ours = ["build", "reproduce", "try"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    for path in &ours {
        must("shellcheck", &["--shell=bash", "--severity=warning", "--external-sources", &format!("--source-path={}", root().display()), path]);
    }
}

/// Runs a program of the distribution, which must find nothing wrong.
fn must(program: &str, words: &[&str]) {
    let done = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {}\n{said}", words.join(" "));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn metadata(kind: &str) -> Table {
    let file: Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    file["package"]["metadata"][kind].as_table().unwrap().clone()
}

fn scripts_of_maintainers() -> Vec<PathBuf> {
    let folders = [("deb", ["postinst", "postrm", "prerm"].as_slice()), ("rpm", &["pre", "post", "preun", "postun"])];
    let scripts = folders.iter().flat_map(|(folder, names)| names.iter().map(move |name| root().join("packaging").join(folder).join(name)));
    scripts.collect()
}

/// A path, or the first of a list that begins with one.
fn first_text(value: &Value) -> String {
    value.as_str().or_else(|| value[0].as_str()).unwrap().to_owned()
}

/// Sources, with places and modes.
fn deb_assets() -> BTreeMap<String, (String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    metadata("deb")["assets"].as_array().unwrap().iter().map(|asset| (text(&asset[0]), (text(&asset[1]), text(&asset[2])))).collect()
}

fn rpm_tables() -> Vec<Table> {
    metadata("generate-rpm")["assets"].as_array().unwrap().iter().map(|asset| asset.as_table().unwrap().clone()).collect()
}

fn rpm_assets() -> BTreeMap<String, (String, String)> {
    let text = |asset: &Table, key: &str| asset[key].as_str().unwrap().to_owned();
    rpm_tables().iter().map(|asset| (text(asset, "source"), (text(asset, "dest"), text(asset, "mode")))).collect()
}
