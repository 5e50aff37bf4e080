//! A terminal that a test types on.

use super::watch::LOOKS;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A pseudo-terminal: programs see the one end, the test has the other.
pub struct Terminal {
    keyboard: File,
    device: PathBuf,
    /// Kept open, so that what a program printed can be read after its end.
    _kept: File,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    pub fn open() -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&controller).and_then(|()| unlockpt(&controller)).expect("a pseudo-terminal");
        let name = ptsname(&controller, Vec::new()).expect("a name");
        let device = PathBuf::from(name.into_string().expect("an ASCII name"));
        let keyboard = File::from(controller);
        let (mut output, screen) = (keyboard.try_clone().expect("a copy"), Arc::<Mutex<String>>::default());
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read) = output.read(&mut bytes) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        let kept = open(&device);
        Self { keyboard, device, _kept: kept, screen }
    }

    /// The program's end, once more; it doesn't become the controlling terminal of this process.
    pub fn device(&self) -> File {
        open(&self.device)
    }

    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// All that was printed, and echoed.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// Waits for what a program has printed: it may be over before its last words are read.
    #[track_caller]
    pub fn has_shown(&self, text: &str) {
        for _ in 0..LOOKS {
            if self.text().contains(text) {
                return;
            }
            std::thread::yield_now();
        }
        panic!("{text:?} is not in {:?}", self.text());
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.keyboard).expect("a terminal").local_modes.contains(LocalModes::ECHO)
    }
}

fn open(device: &Path) -> File {
    let noctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).expect("a flag");
    OpenOptions::new().read(true).write(true).custom_flags(noctty).open(device).expect("a terminal")
}
