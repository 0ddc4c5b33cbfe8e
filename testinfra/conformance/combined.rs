//! The rule by which the kernel combines `all` with an interface's own value is known for every setting that this
//! kernel has.

use std::fs;

use netkeel_core::name::sysctl::SysctlKey;
use netkeel_diagnose::explain::combine::{Rule, rule};

#[test]
fn the_rule_of_every_setting_is_known() {
    let mut unknown = Vec::new();
    for family in ["ipv4", "ipv6"] {
        let directory = format!("/proc/sys/net/{family}/conf/all");
        let leaves: Vec<String> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(leaves.len() > 25, "{directory} has {}", leaves.len());
        for leaf in leaves {
            let key: SysctlKey = format!("net/{family}/conf/all/{leaf}").parse().unwrap();
            if !rule(&key).is_some_and(|(rule, _)| rule != Rule::Unknown) {
                unknown.push(key.to_string());
            }
        }
    }
    assert_eq!(unknown, [] as [String; 0]);
}
