//! A headless browser, driven through its own protocol: JSON over a WebSocket on the loopback. No more of either than a
//! test needs: one page, text frames, one command at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Whoever starts the browser may take that long to be answered.
const PATIENCE: Duration = Duration::from_secs(120);
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser to use: `HYDRA_BROWSER`, or the first that is installed.
pub fn browser() -> PathBuf {
    let named = std::env::var_os("HYDRA_BROWSER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = || std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    named.or_else(|| installed().find(|file| file.is_file())).unwrap_or_else(|| {
        panic!(
            "no browser is installed. The report's page is tested in a real one: install chromium (apt-get install \
             chromium, brew install --cask chromium, or npx playwright install chromium), or name one in HYDRA_BROWSER"
        )
    })
}

/// A browser with one empty page.
pub struct Page {
    process: Child,
    socket: TcpStream,
    serial: u64,
    /// What the page reported without being asked.
    pub events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Page {
    pub fn open() -> Page {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new(browser())
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--window-size=1280,900", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let mut line = String::new();
            assert!(told.read_line(&mut line).unwrap() > 0, "the browser ended before it listened:\n{said}");
            if let Some((_, address)) = line.split_once("listening on ws://127.0.0.1:") {
                break address.split('/').next().unwrap().parse::<u16>().unwrap();
            }
            said.push_str(&line);
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        let targets = get(port, "/json/list");
        let target = targets.as_array().unwrap().iter().find(|target| target["type"] == "page").expect("a page");
        let address = target["webSocketDebuggerUrl"].as_str().unwrap();
        let path = &address[address.find("/devtools").unwrap()..];
        let mut page = Page { process, socket: upgrade(port, path), serial: 0, events: Vec::new(), _profile: profile };
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            page.ask(&format!("{domain}.enable"), json!({}));
        }
        page
    }

    /// One command, and its result.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.serial += 1;
        send(&mut self.socket, &json!({ "id": self.serial, "method": method, "params": params }).to_string());
        loop {
            let message = receive(&mut self.socket);
            if message["id"] != self.serial {
                self.events.push(message);
                continue;
            }
            assert!(message["error"].is_null(), "{method}: {}", message["error"]);
            return message["result"].clone();
        }
    }

    /// Goes to an address and waits until the page is loaded.
    pub fn go(&mut self, address: &str) {
        let went = self.ask("Page.navigate", json!({ "url": address }));
        assert!(went["errorText"].is_null(), "{address}: {}", went["errorText"]);
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = receive(&mut self.socket);
            self.events.push(message);
        }
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let done = self.ask("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(done["exceptionDetails"].is_null(), "{expression}: {}", done["exceptionDetails"]);
        done["result"]["value"].clone()
    }

    pub fn point_at(&mut self, x: f64, y: f64) {
        self.ask("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
    }

    /// Errors on the console, uncaught exceptions, and everything that the browser itself complains about.
    pub fn complaints(&self) -> Vec<String> {
        let error = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => event["params"]["type"] == "error",
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            _ => false,
        };
        self.events.iter().filter(error).map(|event| event["params"].to_string()).collect()
    }

    /// What the page asked for that is not a file of its own.
    pub fn requests(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let address = sent.filter_map(|event| event["params"]["request"]["url"].as_str());
        address.filter(|address| !address.starts_with("file://")).map(str::to_owned).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Ours, and by its handle: whatever other browsers run here stay.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn get(port: u16, path: &str) -> Value {
    let mut socket = BufReader::new(connect(port));
    write!(socket.get_mut(), "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).unwrap();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn upgrade(port: u16, path: &str) -> TcpStream {
    let mut socket = connect(port);
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: aHlkcmEgaHlkcmEgaHlkcg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    socket
}

/// One text frame. The mask is all zeros: it protects proxies, and there is none here.
fn send(socket: &mut TcpStream, text: &str) {
    let mut frame = vec![0x81];
    match text.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    socket.write_all(&frame).unwrap();
}

/// One message: a text frame and what continues it.
fn receive(socket: &mut TcpStream) -> Value {
    let mut text = Vec::new();
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head).expect("the browser answers");
        let length = match head[1] & 0x7f {
            126 => {
                let mut length = [0; 2];
                socket.read_exact(&mut length).unwrap();
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                socket.read_exact(&mut length).unwrap();
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload).unwrap();
        // Text or its continuation; pings and the like are not for us.
        if head[0] & 0x0f > 2 {
            continue;
        }
        text.extend(payload);
        if head[0] & 0x80 != 0 {
            return serde_json::from_slice(&text).unwrap();
        }
    }
}
