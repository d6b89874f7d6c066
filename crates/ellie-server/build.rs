//! Files that are added to or removed from the dashboard's folder are noticed by this alone: `include_dir` sees only
//! changes of files that it knows.

fn main() {
    println!("cargo:rerun-if-changed=ui-dist");
}
