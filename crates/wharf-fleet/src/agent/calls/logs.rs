//! Log lines of a service's containers on this host: the past in order of time, then what comes, as it comes.
//!
//! Containers that are started later (another release, a restart) are followed too: the Engine's events say so.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{StreamExt as _, stream};
use wharf_docker::bollard::models::EventMessage;
use wharf_docker::bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptions};
use wharf_docker::logs::{Line, Wanted};
use wharf_docker::{Engine, Error as DockerError};
use wharf_model::Frame;
use wharf_model::call::{LogLine, Logs};
use wharf_model::frame::Status;

use super::super::found::Found;
use super::Desk;
use super::wire::{Output, Wire};
use crate::{Error, labels};

/// Items with their container and instance.
type Tagged = BoxStream<'static, ((String, String), Item)>;

/// Lines of a container that comes are all wanted.
const ALL: u32 = i32::MAX as u32;

enum Item {
    Line(Line),
    /// The container's stream has ended.
    End,
}

/// Sends the lines. Ends with the past, or with the caller if it follows.
pub(super) async fn logs(
    desk: &Desk,
    engine: &Engine,
    call: Logs,
    wire: &mut Wire,
) -> Result<Option<i64>, Error> {
    let shown = Service { desk, engine, call: &call };
    let (output, mut input) = wire.split();
    let host = desk.shop.host.to_string();
    let work = async {
        // Listened for first, so that no start is missed while the past is read.
        let starts = if call.follow { shown.starts() } else { stream::pending().boxed() };
        let last = shown.past(output).await?;
        // So that the server can merge the past of several hosts and then pass on what comes.
        output.send(Frame::Status(Status::Started { instance: String::new(), host })).await;
        if call.follow { shown.follow(last, starts, output).await } else { Ok(Some(0)) }
    };
    tokio::select! {
        done = work => done,
        () = input.gone() => Ok(None),
    }
}

struct Service<'a> {
    desk: &'a Desk,
    engine: &'a Engine,
    call: &'a Logs,
}

impl Service<'_> {
    fn filters(&self) -> Vec<String> {
        vec![
            format!("{}={}", labels::OWNER, self.desk.shop.owner),
            format!("{}={}", labels::APP, self.call.app),
            format!("{}={}", labels::SERVICE, self.call.service),
        ]
    }

    /// Its containers: the Engine's id and the instance.
    async fn containers(&self) -> Result<Vec<(String, String)>, Error> {
        let filters = HashMap::from([("label".to_owned(), self.filters())]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = self.engine.docker().list_containers(Some(options)).await;
        let listed = listed.map_err(|error| DockerError::api("list the service's containers", error))?;
        Ok(listed.iter().filter_map(Found::read).map(|found| (found.id, found.instance)).collect())
    }

    /// Containers that start from now on.
    fn starts(&self) -> BoxStream<'static, (String, String)> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("event".to_owned(), vec!["start".to_owned()]),
            ("label".to_owned(), self.filters()),
        ]);
        // Since one second ago: the stream's own begin is later than this call. What is known already is left out below.
        let since = (self.desk.clock.now().0 / 1_000 - 1).to_string();
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let events = self.engine.docker().events(Some(options));
        let started = |event: Result<EventMessage, _>| {
            let actor = event.ok()?.actor?;
            Some((actor.id?, actor.attributes?.remove(labels::INSTANCE)?))
        };
        events.filter_map(move |event| std::future::ready(started(event))).boxed()
    }

    fn lines(&self, container: &str, wanted: Wanted) -> BoxStream<'static, Item> {
        let lines = wharf_docker::logs::lines(self.engine, container, wanted);
        let items = lines.map(|line| match line {
            Ok(line) => Item::Line(line),
            // A log driver that can't be read says so; the reader should know.
            Err(error) => Item::Line(Line { at: 0, is_stderr: true, text: format!("[{error}]") }),
        });
        items.chain(stream::once(async { Item::End })).boxed()
    }

    /// The past of all containers, merged by time. Returns after which time each has more to tell.
    async fn past(&self, output: &mut Output) -> Result<BTreeMap<String, i64>, Error> {
        let wanted = Wanted { lines: self.call.lines, after: self.call.since, follow: false };
        let begun = self.desk.clock.now().0.saturating_mul(1_000_000);
        let mut last = BTreeMap::new();
        let mut heads = Vec::new();
        for (container, instance) in self.containers().await? {
            last.insert(container.clone(), begun);
            let mut lines = self.lines(&container, wanted);
            if let Some(Item::Line(line)) = lines.next().await {
                heads.push((container, instance, line, lines));
            }
        }
        while let Some(first) = (0..heads.len()).min_by_key(|&index| heads[index].2.at) {
            let (container, instance, line, lines) = &mut heads[first];
            last.insert(container.clone(), line.at.max(1));
            if !send(output, instance, line).await {
                break;
            }
            match lines.next().await {
                Some(Item::Line(next)) => *line = next,
                Some(Item::End) | None => drop(heads.swap_remove(first)),
            }
        }
        Ok(last)
    }

    /// What comes, until the caller is gone. `last` says what each container has told already.
    async fn follow(
        &self,
        mut last: BTreeMap<String, i64>,
        mut starts: BoxStream<'static, (String, String)>,
        output: &mut Output,
    ) -> Result<Option<i64>, Error> {
        let mut streams: SelectAll<Tagged> = SelectAll::new();
        // Containers that are followed, and whether each was started again meanwhile.
        let mut open: BTreeMap<String, bool> = BTreeMap::new();
        let follow = |container: &str, instance: &str, after: Option<i64>| -> Tagged {
            let lines = self.lines(container, Wanted { lines: ALL, after, follow: true });
            let tag = (container.to_owned(), instance.to_owned());
            lines.map(move |item| (tag.clone(), item)).boxed()
        };
        for (container, instance) in self.containers().await? {
            streams.push(follow(&container, &instance, last.get(&container).copied()));
            open.insert(container, false);
        }
        loop {
            tokio::select! {
                started = starts.next() => {
                    let Some((container, instance)) = started else {
                        return Err(Error::Invalid("the Docker Engine has ended its events".to_owned()));
                    };
                    if let Some(was_started) = open.get_mut(&container) {
                        *was_started = true;
                    } else {
                        streams.push(follow(&container, &instance, last.get(&container).copied()));
                        open.insert(container, false);
                    }
                }
                Some(((container, instance), item)) = streams.next() => match item {
                    Item::Line(line) => {
                        if !send(output, &instance, &line).await {
                            return Ok(None);
                        }
                        last.insert(container, line.at);
                    }
                    // The Engine ends the stream of a run; the next run needs another.
                    Item::End if open.get(&container) == Some(&true) => {
                        streams.push(follow(&container, &instance, last.get(&container).copied()));
                        open.insert(container, false);
                    }
                    Item::End => drop(open.remove(&container)),
                }
            }
        }
    }
}

async fn send(output: &mut Output, instance: &str, line: &Line) -> bool {
    let line = LogLine {
        at: line.at,
        instance: instance.to_owned(),
        stderr: line.is_stderr,
        text: line.text.clone(),
    };
    let json = serde_json::to_vec(&line).expect("plain records are JSON");
    output.send(Frame::Stdout(Bytes::from(json))).await
}
