//! What the kernel keeps the real server from opening.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::lab;
use crate::lab::House;
use crate::lab::furnish;
use crate::lab::people;

#[test]
fn o_10_a_reload_that_names_a_file_in_a_foreign_folder_is_refused_by_the_kernel() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), ""));
    let started = house.until("every door is open").join("\n");
    if started.contains("this kernel has no Landlock") {
        eprintln!("not looked at: this kernel has no Landlock");
        return;
    }
    let good = fs::read_to_string(house.config()).unwrap();
    let foreign = tempfile::tempdir().unwrap();
    let reload_with = |folder: &std::path::Path| {
        let secret = folder.join("other");
        fs::write(&secret, lab::SECRET).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let client = format!(
            "[[radius.client]]\nname = \"new\"\nnetworks = [\"127.0.0.7/32\"]\nsecret = {{ file = \"{}\" }}\nfirst = {{ directory = \"lab\" }}\npolicy = \"codes\"\n",
            secret.display()
        );
        fs::write(house.config(), format!("{good}{client}")).unwrap();
        house.say(&["reload"])
    };
    let refused = reload_with(foreign.path());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("Permission denied") && told.contains("everything stays as it was"), "{told}");
    let taken = reload_with(house.folder.path());
    assert!(taken.status.success(), "the very same file in a folder that was named: {}", String::from_utf8_lossy(&taken.stderr));
}
