use super::*;

#[test]
fn every_shipped_scenario_is_right_and_says_what_it_is() {
    for (name, text) in SHIPPED {
        let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(scenario.name, name);
        assert!(!scenario.about.is_empty());
    }
}

fn complaint(text: &str) -> String {
    format!("{:#}", Scenario::parse(text).unwrap_err())
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let text = "name = \"x\"\n[mix]\nroms = 3\n";
    let words = complaint(text);
    assert!(words.contains("line 3") && words.contains("roms"), "{words}");
    let words = complaint("name = \"x\"\nseed = \"one\"\n");
    assert!(words.contains("line 2"), "{words}");
    let words = complaint(
        "name = \"x\"\n[mix]\nrooms = 1\n[[phase]]\nseconds = 1\n[[phase]]\nseconds = -1\n",
    );
    assert!(words.contains("line 7") && words.contains("phase[1].seconds"), "{words}");
    let words = complaint(
        "name = \"x\"\n[mix]\nrooms = 1\n[[phase]]\nseconds = 1\n[thresholds]\ndelivry_p99_ms = 3\n",
    );
    assert!(words.contains("line 7") && words.contains("delivery_p99_ms"), "{words}");
    let words = complaint("name = \"x\"\n[mix]\nrooms = 500\nagents = 2\n[[phase]]\nseconds = 1\n");
    assert!(words.contains("mix.agents") && words.contains("line 4"), "{words}");
    let words =
        complaint("name = \"x\"\nloop = \"open\"\n[mix]\nrooms = 5\n[[phase]]\nseconds = 1\n");
    assert!(words.contains("phase[0].rate"), "{words}");
    let room = "name = \"x\"\n[mix]\nrooms = 1\n";
    let words =
        complaint(&format!("{room}[size]\nkind = \"fixed\"\nchars = 3\n[[phase]]\nseconds = 1\n"));
    assert!(words.contains("line 6") && words.contains("size.chars"), "{words}");
    assert!(complaint(room).contains("phase"));
    for phase in ["kind = \"hold\"\nmeasure = false", "kind = \"ramp\""] {
        let words = complaint(&format!("{room}[[phase]]\nseconds = 1\n{phase}\n"));
        assert!(words.contains("nothing would be measured"), "{phase}: {words}");
    }
    assert!(complaint("name = \"x\"\n").contains("nobody"));
}

#[test]
fn a_size_whose_middle_is_shorter_than_what_proves_a_message_is_refused() {
    for (size, key) in [
        ("kind = \"normal\"\nmean = 56.0\ndeviation = 5.0", "size.mean"),
        ("kind = \"normal\"\nmean = 100.0\ndeviation = -1.0", "size.deviation"),
        ("kind = \"log-normal\"\nmedian = 5.0\nsigma = 0.5", "size.median"),
        ("kind = \"log-normal\"\nmedian = 5000.0\nsigma = 0.5", "size.median"),
        ("kind = \"log-normal\"\nmedian = 57.0\nsigma = nan", "size.sigma"),
    ] {
        let room = "name = \"x\"\n[mix]\nrooms = 1\n[[phase]]\nseconds = 1\n";
        let words = complaint(&format!("{room}[size]\n{size}\n"));
        assert!(words.contains(key), "{size}: {words}");
    }
}

#[test]
fn an_aim_that_no_try_of_a_search_has_is_refused() {
    let search = |mix: &str, aim: &str| {
        format!("name = \"x\"\nloop = \"search\"\n[mix]\nrooms = 1\n{mix}[search.aim]\n{aim}\n")
    };
    for aim in ["lost", "unacked", "connections", "server_resident_mb", "resume_p99_ms"] {
        let words = complaint(&search("", &format!("{aim} = 1")));
        let key = format!("search.aim.{aim}");
        assert!(words.contains("line 6") && words.contains(&key), "{aim}: {words}");
    }
    assert!(complaint(&search("", "")).contains("is empty"));
    for aim in ["delivery_service_p999_ms", "put_off", "server_cpu_us_per_message"] {
        assert!(Scenario::parse(&search("", &format!("{aim} = 1"))).is_ok(), "{aim}");
    }
    let cut = search("reconnectors = 1\n", "resume_p99_ms = 1");
    assert!(Scenario::parse(&cut).is_ok());
}

#[test]
fn a_process_holds_so_many_sockets_and_visits_are_among_them() {
    let processes = |mix: &str, phase: &str| {
        let text = format!(
            "name = \"x\"\nloop = \"open\"\n[mix]\nagents = 1\n{mix}\n[visit]\npatience_ms = 10000\n\
             messages = [1, 1]\nthink_ms = [0, 0]\n[agent]\nthink_ms = [0, 0]\n[[phase]]\n{phase}\n"
        );
        Scenario::parse(&text).unwrap().processes()
    };
    assert_eq!(processes("idle = 18999", "seconds = 1"), 1);
    assert_eq!(processes("idle = 19000", "seconds = 1"), 2);
    assert_eq!(processes("idle = 9000", "seconds = 60\narrivals = 900"), 1);
    assert_eq!(processes("idle = 9000", "seconds = 60\narrivals = 1000"), 2);
    // More than come at all are never there.
    assert_eq!(processes("idle = 9000", "seconds = 2\narrivals = 1000"), 1);
    assert_eq!(processes("idle = 90000000", "seconds = 1"), WORKERS_MAX);
}

#[test]
fn agents_are_in_one_process_and_only_idle_visitors_make_room_for_them() {
    let processes = |agents, idle, rooms| {
        let mix = Mix { agents, idle, rooms, ..Mix::default() };
        Scenario { mix, ..Scenario::default() }.processes()
    };
    assert_eq!(processes(7_900, 30_000, 0), 2);
    assert_eq!(processes(10_000, 0, 10_000), 3);
}

#[test]
fn a_phase_begins_where_the_one_before_it_ended() {
    let phase = |kind, rate| Phase { kind, rate, seconds: 1.0, ..Phase::default() };
    let phases = vec![
        phase(PhaseKind::Ramp, 100.0),
        phase(PhaseKind::Spike, 900.0),
        phase(PhaseKind::Hold, 50.0),
    ];
    let scenario = Scenario { phases, ..Scenario::default() };
    assert_eq!([0, 1, 2].map(|index| scenario.before(index).0), [0.0, 100.0, 100.0]);
}
