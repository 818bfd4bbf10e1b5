//! An application made on the fly: a directory with a Compose file, a Dockerfile and the tests' program.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use wharf_test_support::{TempDir, temp_dir};

use crate::program;
use crate::server::Server;

/// SIGKILL, because process 1 of a container takes no signal that it has no handler for.
const DOCKERFILE: &str =
    "FROM scratch\nCOPY program /program\nSTOPSIGNAL SIGKILL\nENTRYPOINT [\"/program\"]\n";

/// One application. Its server removes what is left of it.
pub(crate) struct App {
    pub(crate) name: String,
    directory: TempDir,
}

impl App {
    /// An application with one service `web` that is routed as `<name>.test` and says `text`.
    pub(crate) fn web(server: &Server, text: &str) -> App {
        let app = App::with(server, "");
        app.text(text);
        app
    }

    /// An application with this Compose file; `NAME` in it stands for the application's name.
    pub(crate) fn with(server: &Server, compose: &str) -> App {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let app = App { name: format!("it{}x{number}", std::process::id()), directory: temp_dir() };
        server.note(&app.name);
        std::fs::copy(program::built(), app.path().join("program")).unwrap();
        std::fs::write(app.path().join("Dockerfile"), DOCKERFILE).unwrap();
        app.compose(compose);
        app
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// As an argument of a command.
    pub(crate) fn dir(&self) -> String {
        self.path().display().to_string()
    }

    /// The host name of its route.
    pub(crate) fn host(&self) -> String {
        format!("{}.test", self.name)
    }

    /// Writes the Compose file. The name is added.
    pub(crate) fn compose(&self, text: &str) {
        let text = format!("name: {}\n{}", self.name, text.replace("NAME", &self.name));
        std::fs::write(self.path().join("compose.yaml"), text).unwrap();
    }

    /// Makes it the one-service application that says `text`.
    pub(crate) fn text(&self, text: &str) {
        self.web_with(text, "");
    }

    /// The same with more lines of the service, each indented by four spaces.
    pub(crate) fn web_with(&self, text: &str, more: &str) {
        self.compose(&format!(
            "services:\n  web:\n    build: .\n    environment:\n      TEXT: {text}\n{more}\n    x-wharf:\n      \
             route: {{ host: NAME.test, port: 8000 }}\n      \
             health: {{ path: /up, interval: 200ms, start_period: 3s }}\n"
        ));
    }
}
