//! A Docker daemon of a test's own, in namespaces of its own: its bridges, its firewall rules, its mounts and all its
//! processes are gone with the test, and its containers' addresses exist for nobody else.

use super::peers::{Peer, peer, text_of};
use super::{wait_for, wait_until};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Tells the inner run of a test where its folder is.
const INSIDE: &str = "ELLIE_TEST_DOCKER";

/// The image of the containers: our backend and nothing else.
pub const IMAGE: &str = "backend:test";

/// Begins the name of what a test leaves outside its namespaces, before the id of its process: a folder, and the
/// control groups of its containers.
const PREFIX: &str = "ellie-docker-";

/// Where the inner run writes why no daemon can run, for the outer one to tell.
const CANNOT: &str = "cannot";

/// Runs `test`, the test called `name`, again in namespaces of its own with a daemon. Where there can't be one it says
/// so, and fails with `CI` set.
#[track_caller]
pub fn with_docker(name: &str, daemon: &[&str], test: impl FnOnce(&mut Daemon)) {
    if let Some(folder) = std::env::var_os(INSIDE) {
        let mut daemon = Daemon::new(Path::new(&folder), daemon);
        if let Err(why) = daemon.is_possible() {
            return std::fs::write(daemon.folder.join(CANNOT), why).expect("the reason is written");
        }
        test(&mut daemon);
        return daemon.stop();
    }
    let programs = [
        ("dockerd", "docker.io"),
        ("docker", "docker.io"),
        ("iptables", "iptables"),
        ("ip", "iproute2"),
        ("gcc", "gcc"),
    ];
    if programs.iter().any(|(program, package)| peer(program, package).is_none()) {
        return;
    }
    let cannot = |why: &str| {
        let message = format!("no Docker daemon can run here: {why}");
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("SKIPPED: {message}");
    };
    let may = inside(["true"]).output();
    if !may.as_ref().is_ok_and(|ran| ran.status.success()) {
        return cannot(&format!("that takes root, setpriv, unshare and namespaces ({may:?})"));
    }
    let left = Left::new();
    let folder = left.folder.path();
    let own = std::env::current_exe().expect("a test binary has a path");
    let mut command = inside([own.as_os_str()]);
    let command = command.args(["--exact", name, "--nocapture", "--test-threads", "1"]).env(INSIDE, folder);
    let ran = command.env("PATH", with_sbin()).output().expect("setpriv runs");
    if let Ok(why) = std::fs::read_to_string(folder.join(CANNOT)) {
        return cannot(&why);
    }
    let text = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "inside its namespaces the test failed:\n{text}");
    assert!(text.contains("1 passed"), "inside its namespaces no test called `{name}` ran:\n{text}");
}

/// A program in namespaces of its own, below a shell that takes in the processes that their parents leave behind. All
/// of them are killed when it ends, and it is when the thread that started it does, even by `kill -9`.
fn inside<S: AsRef<OsStr>>(program: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "sh", "-c", "ip link set lo up && \"$@\"; exit $?", "sh"])
        .args(program)
        .stdin(Stdio::null());
    command
}

/// Debian keeps `dockerd`, `iptables` and `ip` where the path of a user does not lead.
fn with_sbin() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// What a test leaves outside of its namespaces; gone when dropped.
struct Left {
    folder: TempDir,
}

impl Left {
    fn new() -> Self {
        // Of tests that were killed themselves.
        let dead = |path: &PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
        };
        let entries = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
        for old in entries(std::env::temp_dir()).map(|entry| entry.path()).filter(&dead) {
            let _ = std::fs::remove_dir_all(old);
        }
        for hierarchy in hierarchies() {
            for old in entries(hierarchy).map(|entry| entry.path()).filter(&dead) {
                remove_group(&old);
            }
        }
        let prefix = format!("{PREFIX}{}-", std::process::id());
        Self { folder: tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder for the daemon") }
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let name = self.folder.path().file_name().expect("a folder with a name");
        for hierarchy in hierarchies() {
            remove_group(&hierarchy.join(name));
        }
    }
}

/// Where control groups are: the one hierarchy of version 2, or those of version 1.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let below = std::fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    below.filter(|path| path.is_dir()).chain([root.clone()]).collect()
}

/// Removes a control group and those below it; its processes are gone.
fn remove_group(group: &Path) {
    for below in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&below.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}

/// The daemon.
pub struct Daemon {
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Peer>,
}

impl Daemon {
    fn new(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        Self { folder: folder.to_owned(), arguments, process: None }
    }

    /// The folder of this test.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Starts the daemon and a first container; why that can't be.
    fn is_possible(&mut self) -> Result<(), String> {
        self.try_start()?;
        self.import_backend();
        let ran = self.run(&["run", "--rm", "--entrypoint", "/backend", IMAGE, "help"]);
        let error = String::from_utf8_lossy(&ran.stderr);
        if ran.status.success() { Ok(()) } else { Err(format!("no container starts: {}", error.trim())) }
    }

    /// Starts the daemon again after [`Daemon::kill`], and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        self.try_start().expect("the daemon starts again");
    }

    /// Arguments that it gets beside those it has, when it starts again.
    pub fn add(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
    }

    fn try_start(&mut self) -> Result<(), String> {
        let at = |name: &str| self.folder.join(name);
        std::fs::write(at("daemon.json"), "{}").expect("a configuration is written");
        let mut command = Command::new("dockerd");
        command.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("run")).arg("-p").arg(at("pid"));
        command.arg("--config-file").arg(at("daemon.json")).args(["-H", &self.endpoint()]);
        let group = self.folder.file_name().expect("a folder with a name").to_string_lossy().into_owned();
        command.args(["--cgroup-parent", &format!("/{group}")]).args(&self.arguments);
        let log = at("dockerd.log");
        let mut process = Peer::spawn("dockerd", &mut command, &log);
        let answers = wait_for("the daemon's first answer", || {
            if process.is_running() {
                return self.run(&["info"]).status.success().then_some(Ok(()));
            }
            let log = text_of(&log);
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            Some(Err(format!("dockerd ended: {}", last.join("\n"))))
        });
        self.process = Some(process);
        answers
    }

    /// Ends the daemon as a crash would; its containers run on with `--live-restore`.
    pub fn kill(&mut self) {
        drop(self.process.take());
        // The next one would take it for one that runs.
        let _ = std::fs::remove_file(self.folder.join("pid"));
    }

    fn stop(&mut self) {
        let ids = self.docker(&["ps", "-aq"]);
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            self.docker(&[&["rm", "-f"], &ids[..]].concat());
        }
        self.kill();
    }

    /// The command line against it.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new("docker")
            .args(["-H", &self.endpoint()])
            .args(arguments)
            .env("HOME", &self.folder)
            .output()
            .expect("docker runs")
    }

    /// The same, which must go well; what it printed.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        let error = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "docker {}: {error}", arguments.join(" "));
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// Starts a container of the backend with these options; its short id.
    #[track_caller]
    pub fn container(&self, name: &str, options: &[&str]) -> String {
        let id = self.docker(&[&["run", "-d", "--name", name], options, &[IMAGE]].concat());
        id.get(..12).unwrap_or_else(|| panic!("docker run printed `{id}`")).to_owned()
    }

    /// An image of what is in a folder.
    #[track_caller]
    pub fn import(&self, image: &str, folder: &Path, changes: &[&str]) {
        let tar =
            Command::new("tar").arg("-C").arg(folder).args(["-c", "--owner=0", "--group=0", "."]).output();
        let tar = tar.expect("tar runs").stdout;
        let mut import = Command::new("docker");
        import.args(["-H", &self.endpoint(), "import"]);
        for change in changes {
            import.args(["-c", change]);
        }
        let mut import = import
            .args(["-", image])
            .env("HOME", &self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker runs");
        import.stdin.take().expect("piped").write_all(&tar).expect("docker reads the image");
        assert!(import.wait().expect("docker ends").success(), "docker import {image}");
    }

    /// An image of the binary under test, with the libraries that it is linked to and nothing else.
    #[track_caller]
    pub fn import_ellie(&self, image: &str) {
        let root = self.folder.join("root");
        let binary = env!("CARGO_BIN_EXE_ellie");
        let linked = Command::new("ldd").arg(binary).output().expect("ldd runs");
        let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            let copy = root.join(library.trim_start_matches('/'));
            std::fs::create_dir_all(copy.parent().expect("a folder")).expect("folders of the image");
            std::fs::copy(library, copy).expect("a library of the image");
        }
        // Its debug information is most of it.
        let stripped = Command::new("strip").arg("-o").arg(root.join("ellie")).arg(binary).status();
        assert!(stripped.expect("strip runs").success());
        // As the Dockerfile has it, but for the times.
        let changes = [
            "ENTRYPOINT [\"/ellie\"]",
            "USER 65532:65532",
            "ENV ELLIE_API__LISTEN=0.0.0.0:5000 ELLIE_GATEWAY__LISTEN=0.0.0.0:8000 ELLIE_AUTH__PROTECT_READS=true",
            "HEALTHCHECK --interval=300ms --timeout=5s CMD [\"/ellie\", \"health\", \"--self\"]",
        ];
        self.import(image, &root, &changes);
    }

    fn import_backend(&self) {
        let image = self.folder.join("image");
        std::fs::create_dir_all(&image).expect("a folder for the image");
        let backend = image.join("backend");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/docker/backend.c");
        let built = Command::new("gcc")
            .args(["-O1", "-static", "-pthread", "-o"])
            .arg(&backend)
            .arg(source)
            .output()
            .expect("gcc runs");
        assert!(built.status.success(), "gcc: {}", String::from_utf8_lossy(&built.stderr));
        self.import(IMAGE, &image, &["ENTRYPOINT [\"/backend\"]", "EXPOSE 8080"]);
    }

    /// Waits for what an event of the daemon shows, as its own log of events tells it.
    #[track_caller]
    pub fn wait_for_event(&self, what: &str, filter: &str) -> String {
        wait_for(what, || {
            let events = self.docker(&["events", "--since", "1h", "--until", "0s", "--filter", filter]);
            (!events.is_empty()).then_some(events)
        })
    }
}
