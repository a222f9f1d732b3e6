//! The documentation: what a page points to is there, and every example can be found from the list of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::tidy::report;
use crate::tidy::root;

/// The pages that people read, by their paths.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    docs.chain(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "config/examples/README.md"].map(|path| root().join(path))).collect()
}

/// Where the links of a page lead, without those into the world.
fn links(text: &str) -> Vec<&str> {
    let behind = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    behind.filter(|target| !target.contains("://") && !target.contains(' ')).collect()
}

/// What one can jump to in a page: its headings, as the places that show them write them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |sign: char| sign.is_alphanumeric() || sign == '-' || sign == ' ' || sign == '_';
    headings.map(|heading| heading.to_lowercase().chars().filter(|sign| kept(*sign)).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let there = if anchor.is_empty() { target.exists() } else { fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor)) };
            wrong.extend((!there).then(|| format!("{}: {link} leads nowhere", page.display())));
        }
    }
    report(wrong);
    assert!(count > 80, "only {count} links were found");
}

#[test]
fn every_example_is_found_from_the_lists() {
    let lists = ["docs/configure.md", "config/examples/README.md"].map(|path| (path, fs::read_to_string(root().join(path)).unwrap()));
    let examples = fs::read_dir(root().join("config/examples")).unwrap().map(|entry| entry.unwrap().path());
    let names: Vec<String> = examples.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).map(|path| name(&path)).collect();
    assert!(names.len() >= 24, "{names:?}");
    let missing = names.iter().flat_map(|name| lists.iter().filter(move |(_, text)| !text.contains(&format!("{name})"))).map(move |(list, _)| (list, name)));
    report(missing.map(|(list, name)| format!("{list}: {name} is not in it")));
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
