//! A PostgreSQL server for tests: started from the installed binaries in a folder of its own, on a socket that nobody
//! else can reach, and gone with the test. With `HYDRA_TEST_POSTGRES_URL` set (a role that may create databases) that
//! server is used instead, by all but those tests that kill theirs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Names a server to use instead.
pub const URL: &str = "HYDRA_TEST_POSTGRES_URL";

const INSTALL: &str = "no PostgreSQL server found in /usr/lib/postgresql/*/bin or the PATH: install one (Debian and Ubuntu: \
                       `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; macOS: `brew install \
                       postgresql`), or name one in HYDRA_TEST_POSTGRES_URL";

/// A server that ends when this value is dropped, or the process ends.
pub struct Server {
    folder: PathBuf,
    settings: Vec<String>,
    /// Ends the server once its input is closed: also if this process is killed.
    guard: Child,
}

impl Server {
    /// Starts one, in which databases can be made and thrown away.
    pub fn start(settings: &[&str]) -> Server {
        let folder = tempfile::Builder::new().prefix("hydra-pg-").tempdir().unwrap().keep();
        let data = folder.join("data");
        if is_root() {
            run(Command::new("chown").arg("nobody").arg(&folder));
        }
        let initdb = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", "--locale=C", "-D"];
        run(unprivileged(&binary("initdb")).args(initdb).arg(&data));
        let settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let guard = spawn(&folder, &settings);
        let server = Server { folder, settings, guard };
        server.wait_until_up();
        server
    }

    /// The URL of a database of it.
    pub fn url(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.folder.display())
    }

    /// The folder that it keeps its files in, and its socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills it, as a loss of power would.
    pub fn kill(&mut self) {
        if let Some(pid) = self.pid() {
            run(Command::new("kill").args(["-KILL", &pid]));
        }
        self.end_guard();
    }

    /// Starts it again on the same files.
    pub fn restart(&mut self) {
        // What the processes of the server that was killed hold is free once they have noticed.
        for _ in 0..20 {
            self.guard = spawn(&self.folder, &self.settings);
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(20));
                if self.is_up() {
                    return;
                }
            }
            self.end_guard();
        }
        panic!("the server does not start again: see {}", self.folder.display());
    }

    /// Ends the guard, and the server if it runs, and leaves the files.
    fn end_guard(&mut self) {
        if let Some(mut input) = self.guard.stdin.take() {
            let _ = input.write_all(b"keep\n");
        }
        self.guard.wait().unwrap();
    }

    fn pid(&self) -> Option<String> {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        file.lines().next().map(str::to_owned)
    }

    fn is_up(&self) -> bool {
        let port = self.settings.iter().find_map(|setting| setting.strip_prefix("port=")).unwrap_or("5432");
        let mut ready = Command::new(binary("pg_isready"));
        ready.args(["-q", "-p", port]).arg("-h").arg(&self.folder).status().is_ok_and(|status| status.success())
    }

    fn wait_until_up(&self) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !self.is_up() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < patience, "the server does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs SQL as its superuser, each statement in a transaction of its own.
    pub fn sql(&self, database: &str, statements: &[&str]) -> String {
        sql(&self.url(database), statements)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Runs SQL, each statement in a transaction of its own; answers what the last one says.
pub fn sql(url: &str, statements: &[&str]) -> String {
    let mut psql = Command::new(binary("psql"));
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url]);
    for statement in statements {
        psql.args(["-c", statement]);
    }
    let output = psql.output().unwrap();
    assert!(output.status.success(), "{statements:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An empty database of its own, in the server that all tests of this process share.
pub fn database() -> String {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let shared = SHARED.get_or_init(|| match std::env::var_os(URL) {
        Some(_) => None,
        // Tests that end the server do so by signals: what the system has in its caches stays.
        None => Some(Server::start(&["fsync=off", "max_connections=500"])),
    });
    let name = format!("hydra_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let (admin, url) = match shared {
        Some(server) => (server.url("postgres"), server.url(&name)),
        None => {
            let admin = std::env::var(URL).unwrap();
            let url = match admin.split_once("://") {
                Some(_) => with_database(&admin, &name),
                None => format!("{admin} dbname={name}"),
            };
            (admin, url)
        }
    };
    sql(&admin, &[&format!("CREATE DATABASE {name}")]);
    url
}

/// The URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (rest, query) = url.split_once('?').map_or((url, None), |(rest, query)| (rest, Some(query)));
    let scheme = rest.find("://").unwrap_or(0) + 3;
    let host = rest[scheme..].find('/').map_or(rest, |at| &rest[..scheme + at]);
    query.map_or_else(|| format!("{host}/{name}"), |query| format!("{host}/{name}?{query}"))
}

/// Starts the server under a shell that waits for the end of its input: of this value, or of this process. It ignores the
/// signals that a terminal or a supervisor sends to the whole group: this process dies of them, the input ends, and the
/// shell is the one left to put the server down and the folder away.
fn spawn(folder: &Path, settings: &[String]) -> Child {
    let script = "trap '' TERM INT HUP; postgres=$1; folder=$2; shift 2\n\
                  \"$postgres\" -D \"$folder/data\" -k \"$folder\" \"$@\" >\"$folder/log\" 2>&1 </dev/null & pid=$!\n\
                  read -r word; kill -INT $pid 2>/dev/null; wait $pid\n\
                  [ \"$word\" = keep ] || rm -rf \"$folder\"";
    let mut shell = unprivileged(Path::new("sh"));
    shell.args(["-c", script, "sh"]).arg(binary("postgres")).arg(folder);
    // Its shared memory in its folder, too: killed, it would leave it in the machine's.
    let fixed = ["listen_addresses=", "unix_socket_permissions=0777", "dynamic_shared_memory_type=mmap"];
    for setting in fixed.iter().copied().chain(settings.iter().map(String::as_str)) {
        shell.args(["-c", setting]);
    }
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The server refuses to run as root.
pub fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program).current_dir("/");
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// The newest that is installed.
fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.iter().nth(4).and_then(|part| part.to_str()?.parse::<u32>().ok());
    let installed = versions.map(|entry| entry.path().join("bin").join(name)).filter(|path| path.exists());
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&in_path).map(|folder| folder.join(name)).find(|path| path.exists());
    installed.max_by_key(number).or(in_path).unwrap_or_else(|| panic!("{INSTALL}"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
