//! Which crate may know which: the table of `ARCHITECTURE.md`.

use super::Fault;
use super::dependencies::Package;

/// Each package and the siblings it may depend on. One that is not in the table may not exist.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ellie-policy", &[]),
    ("ellie-core", &[]),
    ("ellie-api", &[]),
    ("ellie-tls", &[]),
    ("ellie-store", &["ellie-core", "ellie-policy"]),
    ("ellie-health", &["ellie-core", "ellie-policy", "ellie-tls"]),
    ("ellie-gateway", &["ellie-core", "ellie-policy", "ellie-tls"]),
    ("ellie-supervisor", &["ellie-core", "ellie-policy"]),
    (
        "ellie",
        &[
            "ellie-policy",
            "ellie-core",
            "ellie-api",
            "ellie-store",
            "ellie-health",
            "ellie-gateway",
            "ellie-supervisor",
            "ellie-tls",
        ],
    ),
    ("ellie-providers", &["ellie-core", "ellie-policy"]),
    (
        "ellie-server",
        &[
            "ellie",
            "ellie-policy",
            "ellie-core",
            "ellie-api",
            "ellie-store",
            "ellie-health",
            "ellie-gateway",
            "ellie-supervisor",
            "ellie-providers",
            "ellie-tls",
        ],
    ),
    ("xtask", &[]),
];

/// Every dependency between packages of the workspace that goes against the table.
pub(crate) fn check(packages: &[Package]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for package in packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            let message = "a crate without a row in the table of directions (xtask/src/tidy/directions.rs)";
            faults.push(Fault::new(&package.name, 0, message));
            continue;
        };
        for dependency in &package.dependencies {
            let sibling = packages.iter().any(|other| other.name == dependency.name);
            if sibling && !allowed.contains(&dependency.name.as_str()) {
                let message =
                    format!("may not depend on {}: see the directions in ARCHITECTURE.md", dependency.name);
                faults.push(Fault::new(&package.name, 0, message));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(list: &[(&str, &[&str])]) -> Vec<String> {
        let packages: Vec<Package> = list.iter().map(|(name, on)| Package::of(name, on)).collect();
        check(&packages).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rooms_on_the_same_floor_do_not_see_each_other() {
        let found = faults(&[
            ("ellie-gateway", &["ellie-health", "ellie-core", "bytes"]),
            ("ellie-health", &[]),
            ("ellie-core", &[]),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("ellie-gateway: may not depend on ellie-health"), "{found:?}");
    }

    #[test]
    fn a_crate_of_another_name_that_is_no_sibling_is_fine() {
        assert!(faults(&[("ellie-policy", &["loom", "proptest"])]).is_empty());
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        assert_eq!(faults(&[("ellie-extra", &[])]).len(), 1);
    }
}
