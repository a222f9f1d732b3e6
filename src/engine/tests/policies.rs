//! What policies demand beside the factors: blocks, groups, hours, and outages that end.

use super::*;

/// A first factor that passes, and groups as they are told.
#[derive(Debug)]
struct Staff(Arc<World>, Result<Option<Vec<String>>, Outage>);

#[async_trait]
impl PrimaryCheck for Staff {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        self.0.resolve(request).await
    }
    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, aside: &mut Aside) -> Result<Checked, PrimaryError> {
        self.0.check(request, entry, aside).await
    }
    async fn groups(&self, entry: Option<&Entry>, who: &Identity, wanted: &[String], needed: &[String], _: &Aside) -> Result<Option<Vec<String>>, Outage> {
        assert!(entry.is_some_and(|entry| entry.identity == *who), "nobody can be looked up without an entry");
        assert_eq!(wanted, ["Robots", "Staff"]);
        if needed.is_empty() { self.1.clone() } else { Err(Outage::Directory) }
    }
}

/// A provider that is away, slow to say so, or well, as it is told.
#[derive(Debug, Default)]
struct Cloud(Mutex<Option<Result<Progress, FactorError>>>, Notify);

#[async_trait]
impl Provider for Cloud {
    async fn start(&self, _: &Asking) -> Result<Progress, FactorError> {
        let said = self.0.lock().unwrap().clone();
        self.1.notify_one();
        match said {
            Some(said) => said,
            None => std::future::pending().await,
        }
    }
    async fn wait(&self, _: &Ticket) -> Result<Progress, FactorError> {
        Ok(Progress::Allowed { spend: None })
    }
    async fn verify(&self, _: &Asking, _: Option<&Ticket>, _: &Secret) -> Result<Progress, FactorError> {
        Err(FactorError::BadCode)
    }
    async fn cancel(&self, _: &Ticket) {}
}

fn equipped(says: Option<Result<Progress, FactorError>>) -> (Arc<World>, Arc<Engine>, Arc<Cloud>) {
    let (world, engine) = world();
    let cloud = Arc::new(Cloud(Mutex::new(says), Notify::default()));
    let providers: [(String, Arc<dyn Provider>); 2] = [("cloud".to_owned(), Arc::<Cloud>::clone(&cloud)), ("lab".to_owned(), Arc::<World>::clone(&world))];
    engine.equip(HashMap::from(providers));
    (world, engine, cloud)
}

fn through_cloud(more: &[Choice]) -> Rules {
    let cloud = Choice::new(Method::Push, "cloud");
    Rules { lock: Lock { failures_max: 5, wait_ms: 60_000, window_ms: 0 }, ..Rules::bare("vpn", [&[cloud], more].concat()) }
}

async fn log_in(world: &Arc<World>, engine: &Arc<Engine>, rules: Rules, seat: u8) -> Outcome {
    engine.login(asked("alice", "right", seat), Arc::new(rules), Arc::<World>::clone(world), MINUTE).outcome().await
}

fn granted(outcome: &Outcome) -> Option<Grant> {
    match outcome {
        Outcome::Decided { decision, .. } => match &**decision {
            Decision::Accept(permit) => Some(permit.why()),
            _ => None,
        },
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn m_10_a_fraud_that_is_reported_blocks_before_anybody_hears_of_it() {
    let (world, engine, _) = equipped(Some(Ok(Progress::Denied { fraud: true })));
    let outcome = log_in(&world, &engine, Rules { block_ms: 7_000, ..through_cloud(&[]) }, 1).await;
    assert!(decided(&outcome, &Decision::Reject(Denial::FraudReported)), "{outcome:?}");
    let committed = world.committed.lock().unwrap().clone();
    let [Change::Block { whom, block }] = committed.as_slice() else { panic!("{committed:?}") };
    assert_eq!((whom, block.until), (&Blocked::Identity(alice()), Timestamp(8_000)));
}

#[tokio::test(start_paused = true)]
async fn who_is_blocked_is_refused_before_the_password_is_asked_about() {
    let (world, engine, _) = equipped(Some(Ok(Progress::Allowed { spend: None })));
    let block = |until| Block { until: Timestamp(until), reason: String::new(), by: String::new(), at: Timestamp(0), name: None };
    world.standings.lock().unwrap().get_mut(&alice()).unwrap().block = Some(block(1_001));
    assert!(decided(&log_in(&world, &engine, through_cloud(&[]), 1).await, &Decision::Reject(Denial::Blocked)));
    assert_eq!(world.checks.load(Ordering::SeqCst), 0);
    world.standings.lock().unwrap().get_mut(&alice()).unwrap().block = Some(block(1_000));
    assert!(accepted(&log_in(&world, &engine, through_cloud(&[]), 2).await), "it has ended");
}

#[tokio::test(start_paused = true)]
async fn m_47_groups_are_read_in_the_login_and_what_nobody_can_tell_is_to_nobodys_good() {
    let groups = |exempt: &str, required: &str| Groups { exempt: vec![exempt.into()], required: vec![required.into()], denied: Vec::new() };
    let both = groups("Robots", "Staff");
    let log_in = async |told: Result<Option<Vec<String>>, Outage>, groups: Groups| {
        let (world, engine, _) = equipped(Some(Ok(Progress::Allowed { spend: None })));
        let rules = Rules { groups, ..through_cloud(&[]) };
        engine.login(asked("alice", "right", 1), Arc::new(rules), Arc::new(Staff(world, told)), MINUTE).outcome().await
    };
    let in_groups = |names: &[&str]| Ok(Some(names.iter().map(|name| (*name).to_owned()).collect()));
    assert_eq!(granted(&log_in(in_groups(&["Robots", "Staff"]), both.clone()).await), Some(Grant::ExemptGroup));
    assert_eq!(granted(&log_in(in_groups(&["Staff"]), both.clone()).await), Some(Grant::Factor));
    assert!(decided(&log_in(in_groups(&["Robots"]), both.clone()).await, &Decision::Reject(Denial::GroupMissing)));
    assert!(decided(&log_in(Ok(None), both.clone()).await, &Decision::Reject(Denial::GroupMissing)));
    assert!(decided(&log_in(Err(Outage::Directory), both.clone()).await, &Decision::Drop(Outage::Directory)));
    let denied = Groups { denied: vec!["Staff".into()], required: Vec::new(), ..both.clone() };
    let outcome = log_in(in_groups(&["Robots"]), denied).await;
    assert!(decided(&outcome, &Decision::Drop(Outage::Directory)), "a denied group has to be there: {outcome:?}");
    let exempt_alone = Groups { exempt: vec!["Robots".into(), "Staff".into()], ..Groups::default() };
    assert_eq!(granted(&log_in(Err(Outage::Directory), exempt_alone).await), Some(Grant::Factor));
}

#[tokio::test(start_paused = true)]
async fn m_47_a_first_factor_that_tells_no_groups_lets_nobody_in_where_some_are_required() {
    let (world, engine, _) = equipped(Some(Ok(Progress::Allowed { spend: None })));
    let groups = Groups { required: vec!["Staff".into()], ..Groups::default() };
    let outcome = log_in(&world, &engine, Rules { groups, ..through_cloud(&[]) }, 1).await;
    assert!(decided(&outcome, &Decision::Drop(Outage::Fault)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_a_password_outside_the_hours() {
    let (world, engine, _) = equipped(Some(Ok(Progress::Allowed { spend: None })));
    // The world's clock shows the first second of 1970, a Thursday.
    let open = |opening: &str| Rules { hours: Hours(vec![opening.parse().unwrap()]), ..through_cloud(&[]) };
    assert!(decided(&log_in(&world, &engine, open("mon-wed 00:00-24:00"), 1).await, &Decision::Reject(Denial::OutsideHours)));
    assert_eq!(world.checks.load(Ordering::SeqCst), 0);
    assert!(accepted(&log_in(&world, &engine, open("thu 00:00-00:01"), 2).await));
}

#[tokio::test(start_paused = true)]
async fn m_14_an_outage_lets_in_for_as_long_as_the_policy_bears_and_no_longer() {
    let away = || Some(Err(FactorError::Unreachable));
    let (world, engine, cloud) = equipped(away());
    let rules = || Rules { outage: OnOutage::Open, outage_max_ms: 3_600_000, ..through_cloud(&[]) };
    let says = |said| *cloud.0.lock().unwrap() = said;
    assert_eq!(granted(&log_in(&world, &engine, rules(), 1).await), Some(Grant::FailOpen));
    tokio::time::advance(MINUTE * 60).await;
    assert_eq!(granted(&log_in(&world, &engine, rules(), 2).await), Some(Grant::FailOpen));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(decided(&log_in(&world, &engine, rules(), 3).await, &Decision::Reject(Denial::FactorUnavailable)));
    // A wrong key of ours, or one slow answer, opens nothing and begins nothing anew.
    for wrong in [FactorError::Misconfigured, FactorError::Faltering] {
        says(Some(Err(wrong)));
        assert!(decided(&log_in(&world, &engine, rules(), 4).await, &Decision::Reject(Denial::FactorUnavailable)));
    }
    says(away());
    assert!(decided(&log_in(&world, &engine, rules(), 5).await, &Decision::Reject(Denial::FactorUnavailable)));
    says(Some(Ok(Progress::Allowed { spend: None })));
    assert_eq!(granted(&log_in(&world, &engine, rules(), 6).await), Some(Grant::Factor));
    says(away());
    assert_eq!(granted(&log_in(&world, &engine, rules(), 7).await), Some(Grant::FailOpen), "that was another outage");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_leaves_time_for_the_next() {
    let (world, engine, _) = equipped(None);
    let code = Choice::new(Method::Oath, "lab");
    let began = Instant::now();
    let outcome = log_in(&world, &engine, through_cloud(&[code]), 1).await;
    assert!(matches!(outcome, Outcome::Challenge { .. }), "{outcome:?}");
    assert_eq!(began.elapsed(), MINUTE / 2);
}

#[tokio::test(start_paused = true)]
async fn m_14_a_provider_that_hangs_opens_nothing_and_the_login_ends_in_time() {
    let (world, engine, _) = equipped(None);
    let rules = Rules { outage: OnOutage::Open, ..through_cloud(&[Choice::new(Method::Call, "cloud")]) };
    let began = Instant::now();
    let outcome = log_in(&world, &engine, rules, 1).await;
    assert!(matches!(&outcome, Outcome::Decided { decision, .. } if matches!(**decision, Decision::Reject(_))), "{outcome:?}");
    assert!(began.elapsed() <= MINUTE);
}
