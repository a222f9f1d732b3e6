//! The files that make up a configuration: the one that is named, and the drop-ins in `conf.d` beside it, read as one text.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::geteuid;
use toml::Spanned;
use toml::Table;
use toml::de::DeString;
use toml::de::DeTable;
use toml::de::DeValue;

use super::problem::Problem;
use super::secret;

/// The whole text, and where each file begins in it.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// All files one behind the other, the named one first, the others in the order of their names.
    pub(super) text: String,
    /// Each file, as it was given to us, and its first line in the text, counted from 1.
    pub(super) begins: Vec<(String, usize)>,
}

impl Files {
    /// Reads `path` and every `conf.d/*.toml` of its folder. Blocks on the disk.
    ///
    /// # Errors
    /// A file that cannot be read or is no UTF-8; more of them, or more text, than there may be; and where there are several, each must stand on its own: be TOML
    /// to its end, begin with a section, and change no section of another, so that what one says depends on no other.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut texts: Vec<(String, String)> = Vec::new();
        let mut space = TEXT_BYTES_MAX;
        texts.push(in_good_hands(path, path).and_then(|()| text_of(path, &mut space)).map_err(|problem| vec![problem])?);
        let folder = path.with_file_name(FOLDER);
        match in_good_hands(&folder, path).and_then(|()| dropins(&folder)) {
            Ok(paths) => {
                for dropin in paths {
                    let read = in_good_hands(&dropin, path).and_then(|()| text_of(&dropin, &mut space));
                    let read = read.and_then(|(file, text)| begins_with_section(&file, &text).map(|()| (file, text)));
                    match read {
                        Ok(read) => texts.push(read),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
        if texts.len() > 1 {
            problems.extend(not_apart(&texts));
        }
        if problems.is_empty() { Ok(Self::joined(texts)) } else { Err(problems) }
    }

    /// Reads `path` and no drop-ins. Blocks on the disk.
    ///
    /// # Errors
    /// It cannot be read, or is no UTF-8.
    pub(super) fn alone(path: &Path) -> Result<Self, Vec<Problem>> {
        let mut space = TEXT_BYTES_MAX;
        text_of(path, &mut space).map(|text| Self::joined(vec![text])).map_err(|problem| vec![problem])
    }

    fn joined(texts: Vec<(String, String)>) -> Self {
        let mut files = Self::default();
        let mut line = 1_usize;
        for (file, text) in texts {
            files.begins.push((file, line));
            files.text.push_str(&text);
            if !text.is_empty() && !text.ends_with('\n') {
                files.text.push('\n');
            }
            line = line.saturating_add(text.lines().count());
        }
        files
    }
}

/// What the configuration at `path` and its drop-ins say, unchecked; `None` where they are no TOML or cannot be read. Blocks on the disk.
pub(in crate::app) fn table(path: &Path) -> Option<Table> {
    Files::read(path).ok()?.text.parse().ok()
}

/// A file that anybody may write opens every door; a drop-in is whose the configuration is, root's or ours.
fn in_good_hands(path: &Path, configuration: &Path) -> Result<(), Problem> {
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    let theirs = fs::metadata(configuration).map_or(0, |found| found.uid());
    let wrong = |message: String, hint: String| Err(Problem { hint: Some(hint), ..Problem::of_file(&path.display().to_string(), message) });
    if found.mode() & 0o002 != 0 {
        return wrong("everybody may write it".to_owned(), format!("chmod o-w {}", path.display()));
    }
    if [0, theirs, geteuid().as_raw()].contains(&found.uid()) {
        return Ok(());
    }
    wrong(format!("it belongs to another user (uid {}), who could open every door with it", found.uid()), format!("chown root {}", path.display()))
}

/// The name and the text of one file, which must fit into `space`.
fn text_of(path: &Path, space: &mut usize) -> Result<(String, String), Problem> {
    let file = path.display().to_string();
    let bytes = secret::read(path).map_err(|error| Problem::of_file(&file, format!("cannot be read: {error}")))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| Problem::of_file(&file, format!("is no UTF-8 behind byte {}", error.valid_up_to())))?;
    match space.checked_sub(text.len()) {
        Some(left) => *space = left,
        None => return Err(Problem::of_file(&file, format!("with it the configuration is longer than {} MiB", TEXT_BYTES_MAX >> 20))),
    }
    Ok((file, text.to_owned()))
}

/// What is wrong with files that shall be read as one: a string or a list that one leaves open would swallow the next, and a header such as `[radius.client.code]`
/// would belong to whatever client happens to be the last before it.
fn not_apart(texts: &[(String, String)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = BTreeMap::new();
    for (file, text) in texts {
        let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count().saturating_add(1);
        let (table, broken) = DeTable::parse_recoverable(text);
        for error in &broken {
            // The parser's message alone: its source line may hold a secret that somebody wrote there.
            let problem = Problem::of_file(file, format!("this is no TOML: {}", error.message()));
            problems.push(Problem { line: error.span().map(|span| line_of(span.start)), ..problem });
        }
        for (path, key, is_list) in sections(table.get_ref()) {
            match seen.get(&path) {
                None => drop(seen.insert(path, (file, is_list))),
                // A further entry, or a further line of the same file.
                Some((first, was_list)) if (is_list && *was_list) || *first == file => {}
                Some((first, _)) => {
                    let problem = Problem::of_file(file, format!("it is in {first} already, and a file changes nothing of another"));
                    let hint = "write it there; here write new sections, and entries such as [[radius.client]]".to_owned();
                    problems.push(Problem { path, line: Some(line_of(key.span().start)), hint: Some(hint), ..problem });
                }
            }
        }
    }
    problems
}

/// What a file says down to `section.key`, with the key, and whether it is a list: what is not a list is one file's alone.
fn sections<'a>(table: &'a DeTable<'a>) -> Vec<(String, &'a Spanned<DeString<'a>>, bool)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Table(inner) => {
                let path = |inner: &Spanned<DeString<'_>>| format!("{}.{}", key.get_ref(), inner.get_ref());
                found.extend(inner.iter().map(|(inner, value)| (path(inner), inner, matches!(value.get_ref(), DeValue::Array(_)))));
            }
            other => found.push((key.get_ref().to_string(), key, matches!(other, DeValue::Array(_)))),
        }
    }
    found
}

/// The drop-ins in the order of their names; hidden files and what editors leave behind are none. No folder, no drop-ins.
fn dropins(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let told = |error: std::io::Error| Problem::of_file(&folder.display().to_string(), format!("cannot be read: {error}"));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(told(error)),
    };
    let mut paths = Vec::new();
    for (count, entry) in entries.enumerate() {
        let path = entry.map_err(told)?.path();
        if count >= ENTRIES_MAX {
            return Err(Problem::of_file(&folder.display().to_string(), format!("has more than {ENTRIES_MAX} entries")));
        }
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Nothing stands before the first header but comments: it would fall into the last section of the file before.
fn begins_with_section(file: &str, text: &str) -> Result<(), Problem> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    if first.is_none_or(|line| line.starts_with('[')) {
        return Ok(());
    }
    let problem = Problem::of_file(file, "its first setting stands in no section".to_owned());
    Err(Problem { hint: Some("begin a file in conf.d with a header, such as [[radius.client]]".to_owned()), ..problem })
}

/// Beside the file.
const FOLDER: &str = "conf.d";
/// Entries of that folder, whatever they are.
const ENTRIES_MAX: usize = 10_000;
/// Of all files together.
const TEXT_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files, and the first of them.
    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let main = folder.path().join("vestibule.toml");
        (folder, main)
    }

    /// The problems, without the folder in front.
    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let (folder, main) = folder(files);
        let problems = Files::read(&main).err().unwrap_or_default();
        problems.iter().map(|problem| problem.to_string().replace(&format!("{}/", folder.path().display()), "")).collect()
    }

    #[test]
    fn a_drop_in_begins_with_a_section() {
        let fits = |text: &str| begins_with_section("f", text).is_ok();
        assert!(fits("# by hand\n\n  [[radius.client]]\nname = \"a\"\n") && fits("# nothing\n"));
        assert!(!fits("# oops\nname = \"a\"\n[x]\n"));
        let loose = told(&[("vestibule.toml", "[a]\n"), ("conf.d/30.toml", "loose = 1\n")]);
        assert!(loose[0].starts_with("conf.d/30.toml: its first setting stands in no section"), "{loose:?}");
    }

    #[test]
    fn drop_ins_come_in_the_order_of_their_names_and_lines_are_told_per_file() {
        let drop_ins = [("conf.d/20.toml", "[c]\n"), ("conf.d/10.toml", "[b]\ny = 1\n"), ("conf.d/.hidden.toml", "oops"), ("conf.d/10.toml~", "oops")];
        let (_folder, main) = folder(&[&[("vestibule.toml", "[a]\nx = 1")][..], &drop_ins].concat());
        let files = Files::read(&main).unwrap();
        assert_eq!(files.text, "[a]\nx = 1\n[b]\ny = 1\n[c]\n");
        let names: Vec<_> = files.begins.iter().map(|(file, line)| (file.rsplit('/').next().unwrap(), *line)).collect();
        assert_eq!(names, [("vestibule.toml", 1), ("10.toml", 3), ("20.toml", 5)]);
    }

    #[test]
    fn what_anybody_may_write_and_what_a_stranger_has_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, main) = folder(&[("vestibule.toml", "[a]\n"), ("conf.d/10.toml", "[b]\n")]);
        for name in ["vestibule.toml", "conf.d", "conf.d/10.toml"] {
            let path = folder.path().join(name);
            let mode = fs::metadata(&path).unwrap().permissions();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o757)).unwrap();
            let problem = Files::read(&main).unwrap_err()[0].to_string();
            assert!(problem.contains(&format!("{name}: everybody may write it")), "{problem}");
            fs::set_permissions(&path, mode).unwrap();
        }
        if geteuid().is_root() {
            std::os::unix::fs::chown(folder.path().join("conf.d/10.toml"), Some(65_534), None).unwrap();
            assert!(Files::read(&main).unwrap_err()[0].to_string().contains("conf.d/10.toml: it belongs to another user (uid 65534)"));
        }
    }

    #[test]
    fn what_one_file_leaves_open_swallows_no_other() {
        for open in ["x = \"\"\"\n", "x = [\n", "x = '''", "x = { y ="] {
            // The next file would close it, and what stands between would be text.
            let close = "[b]\ny = \"\"\"\"\"\"\nz = [] # ]\n'''\n";
            for (name, other) in [("vestibule.toml", "conf.d/10.toml"), ("conf.d/10.toml", "conf.d/20.toml")] {
                let main = if name == "vestibule.toml" { "" } else { "[m]\n" };
                let text = format!("[a]\n{open}");
                let told = told(&[("vestibule.toml", main), (name, &text), (other, close)]);
                assert!(told.iter().any(|problem| problem.starts_with(&format!("{name}:")) && problem.contains("no TOML")), "{open}: {told:?}");
            }
        }
    }

    #[test]
    fn a_drop_in_adds_sections_and_entries_and_changes_none() {
        let main = "[radius]\ninflight = 1\n[[radius.client]]\nname = \"a\"\n[policy.vpn]\nx = 1\n[log]\nlevel = 1\n";
        let fine = "[[radius.client]]\nname = \"b\"\n[radius.client.code]\nx = 1\n[policy.other]\n[audit.http]\n";
        assert_eq!(told(&[("vestibule.toml", main), ("conf.d/10.toml", fine), ("conf.d/20.toml", "[[radius.client]]\n")]), Vec::<String>::new());
        for (text, path) in [
            ("[radius.client.code]\nx = 1\n", "radius.client"),
            ("[[radius.client.more]]\n", "radius.client"),
            ("[policy.vpn.more]\nx = 1\n", "policy.vpn"),
            ("[policy]\nvpn.more = 1\n", "policy.vpn"),
            ("[log]\nlevel = 2\n", "log.level"),
        ] {
            let told = told(&[("vestibule.toml", main), ("conf.d/10.toml", text)]);
            assert!(
                told.len() == 1 && told[0].starts_with("conf.d/10.toml:") && told[0].contains(&format!(" {path}: it is in vestibule.toml already")),
                "{told:?}"
            );
        }
    }

    #[test]
    fn neither_files_nor_text_are_without_end() {
        let long = format!("[{}]\n", "x".repeat((1 << 20) - 10));
        let names: Vec<_> = (0..17).map(|at| format!("conf.d/{at:02}.toml")).collect();
        let files: Vec<_> = [("vestibule.toml", "")].into_iter().chain(names.iter().map(|name| (name.as_str(), long.as_str()))).collect();
        let told = told(&files);
        assert!(told.iter().any(|problem| problem.starts_with("conf.d/16.toml: with it the configuration is longer than 16 MiB")), "{told:.300?}");
        let (folder, main) = folder(&[("vestibule.toml", "")]);
        for at in 0..=ENTRIES_MAX {
            fs::write(folder.path().join(format!("conf.d/{at}")), "").unwrap();
        }
        assert!(Files::read(&main).unwrap_err()[0].to_string().ends_with("has more than 10000 entries"));
    }
}
