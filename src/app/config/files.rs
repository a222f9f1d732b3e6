//! The files that make up a configuration: the one that is named, and the drop-ins in `conf.d` beside it, read as one text.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;

use super::problem::Problem;
use super::secret;

/// The whole text, and where each file begins in it.
#[derive(Debug)]
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
    /// A file that cannot be read, is no UTF-8, or is a drop-in that does not begin with a section: its keys would fall into the last section before it.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        let mut files = Self { text: String::new(), begins: Vec::new() };
        let mut problems = Vec::new();
        files.add(path).map_err(|problem| vec![problem])?;
        match dropins(&path.with_file_name(FOLDER)) {
            Ok(paths) => {
                for path in paths {
                    problems.extend(files.add(&path).err());
                }
            }
            Err(problem) => problems.push(problem),
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }

    /// Reads `path` and no drop-ins. Blocks on the disk.
    ///
    /// # Errors
    /// It cannot be read, or is no UTF-8.
    pub(super) fn alone(path: &Path) -> Result<Self, Vec<Problem>> {
        let mut files = Self { text: String::new(), begins: Vec::new() };
        files.add(path).map_err(|problem| vec![problem])?;
        Ok(files)
    }

    fn add(&mut self, path: &Path) -> Result<(), Problem> {
        let file = path.display().to_string();
        let bytes = secret::read(path).map_err(|error| Problem::of_file(&file, format!("cannot be read: {error}")))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Problem::of_file(&file, format!("is no UTF-8 behind byte {}", error.valid_up_to())))?;
        if !self.begins.is_empty() && !begins_with_section(text) {
            let problem = Problem::of_file(&file, "its first setting stands in no section".to_owned());
            return Err(Problem { hint: Some("begin a file in conf.d with a header, such as [[radius.client]]".to_owned()), ..problem });
        }
        self.begins.push((file, self.text.matches('\n').count().saturating_add(1)));
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
        Ok(())
    }
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
    for entry in entries.take(ENTRIES_MAX) {
        let path = entry.map_err(told)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether nothing stands before the first header but comments.
fn begins_with_section(text: &str) -> bool {
    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).is_none_or(|line| line.starts_with('['))
}

/// Beside the file.
const FOLDER: &str = "conf.d";
/// Files there that are looked at.
const ENTRIES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_in_begins_with_a_section() {
        assert!(begins_with_section("# by hand\n\n  [[radius.client]]\nname = \"a\"\n"));
        assert!(begins_with_section("# nothing\n"));
        assert!(!begins_with_section("# oops\nname = \"a\"\n[x]\n"));
    }

    #[test]
    fn drop_ins_come_in_the_order_of_their_names_and_lines_are_told_per_file() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("vestibule.toml");
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("vestibule.toml", "[a]\nx = 1");
        write("conf.d/20.toml", "[c]\n");
        write("conf.d/10.toml", "[b]\ny = 1\n");
        write("conf.d/.hidden.toml", "oops");
        write("conf.d/10.toml~", "oops");
        let files = Files::read(&main).unwrap();
        assert_eq!(files.text, "[a]\nx = 1\n[b]\ny = 1\n[c]\n");
        let names: Vec<_> = files.begins.iter().map(|(file, line)| (file.rsplit('/').next().unwrap(), *line)).collect();
        assert_eq!(names, [("vestibule.toml", 1), ("10.toml", 3), ("20.toml", 5)]);
        write("conf.d/30.toml", "loose = 1\n");
        let problems = Files::read(&main).unwrap_err();
        assert!(problems[0].to_string().contains("conf.d/30.toml: its first setting stands in no section"), "{problems:?}");
    }
}
