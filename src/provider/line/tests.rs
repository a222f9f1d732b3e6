//! The line under paused time: who looks when, how many at a time, and what becomes of those who leave.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many wait until `end`; tells how often each looked, and the longest that any of them went without a look.
async fn crowd(count: usize, end: Duration, look_takes: Duration) -> (Vec<u64>, Duration) {
    let line = Line::new();
    let end = Instant::now() + end;
    let mut people = JoinSet::new();
    for _ in 0..count {
        let line = Arc::clone(&line);
        people.spawn(async move {
            let (mut looks, mut last, mut gap_max) = (0, Instant::now(), Duration::ZERO);
            let mut waiting = line.join();
            while let Ok(look) = tokio::time::timeout_at(end, waiting.turn()).await {
                looks += 1;
                gap_max = gap_max.max(last.elapsed());
                last = Instant::now();
                tokio::time::sleep(look_takes).await;
                drop(look);
            }
            (looks, gap_max.max(last.elapsed()))
        });
    }
    let all = people.join_all().await;
    assert_eq!(line.waiting.load(Ordering::Relaxed), 0, "whoever left is still counted");
    (all.iter().map(|one| one.0).collect(), all.iter().map(|one| one.1).max().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_young_question_is_looked_at_more_often_and_an_old_one_within_a_second() {
    let line = Line::new();
    let began = Instant::now();
    let mut waiting = line.join();
    let mut looks = Vec::new();
    while began.elapsed() < seconds(30) {
        drop(waiting.turn().await);
        looks.push(began.elapsed());
    }
    assert!(looks[0] < Duration::from_millis(5), "the first of few looks at once");
    let gaps: Vec<_> = looks.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps[..4].iter().all(|gap| *gap < Duration::from_millis(260)), "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap >= GAP_MIN && *gap < Duration::from_millis(1_010)), "{gaps:?}");
    assert!(gaps.iter().rev().take(20).all(|gap| *gap >= seconds(1)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_keeps_the_budget_and_nobody_is_forgotten() {
    let (looks, gap_max) = crowd(12_000, seconds(20), Duration::from_millis(2)).await;
    let all: u64 = looks.iter().sum();
    let budget = 20 * u64::from(Line::LOOKS_PER_S_MAX);
    assert!(all <= budget + 100, "{all} looks of {budget}");
    assert!(all > budget * 9 / 10, "{all} looks of {budget}: the budget is there to be used");
    // 12,000 at 3,000 a second are four seconds for all of them once; more where the young are let before.
    assert!(gap_max < seconds(10), "somebody was not looked at for {gap_max:?}");
    let (least, most) = (looks.iter().min().unwrap(), looks.iter().max().unwrap());
    assert!(*least >= 2 && most - least <= 4, "{least} to {most}");
}

#[tokio::test(start_paused = true)]
async fn so_many_looks_are_open_at_a_time_and_no_more() {
    let line = Line::new();
    let mut open = Vec::new();
    for _ in 0..Line::PATIENT_MAX + Line::BRIEF_MAX {
        open.push(line.admit().await);
    }
    assert_eq!(open.iter().filter(|look| look.patient).count(), Line::PATIENT_MAX);
    assert!(open.iter().take(Line::PATIENT_MAX).all(|look| look.patient), "the first may stay");
    assert!(tokio::time::timeout(seconds(60), line.admit()).await.is_err(), "a look too many");
    open.pop();
    assert!(!tokio::time::timeout(seconds(1), line.admit()).await.unwrap().patient);
    open.remove(0);
    assert!(tokio::time::timeout(seconds(1), line.admit()).await.unwrap().patient);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_leaves_no_gap() {
    let line = Line::new();
    let places: Vec<_> = (0..Line::PATIENT_MAX + Line::BRIEF_MAX).map(|_| ()).collect();
    let mut open = Vec::new();
    for () in places {
        open.push(line.admit().await);
    }
    let mut people = JoinSet::new();
    for _ in 0..5_000 {
        let line = Arc::clone(&line);
        people.spawn(async move {
            let mut waiting = line.join();
            drop(waiting.turn().await);
        });
    }
    tokio::time::sleep(seconds(5)).await;
    // The first of them stands at the gate, all others behind.
    let late = {
        let line = Arc::clone(&line);
        tokio::spawn(async move {
            let mut waiting = line.join();
            drop(waiting.turn().await);
            Instant::now()
        })
    };
    tokio::time::sleep(seconds(1)).await;
    people.shutdown().await;
    let freed = Instant::now();
    open.pop();
    let looked = tokio::time::timeout(seconds(10), late).await.expect("the line stands still").unwrap();
    assert!(looked.saturating_duration_since(freed) < Duration::from_millis(10));
    assert_eq!(line.waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_look_costs_beyond_itself_delays_the_next() {
    let line = Line::new();
    drop(line.admit().await);
    let began = Instant::now();
    for _ in 0..400 {
        line.charge(Duration::from_micros(2_500));
    }
    drop(line.admit().await);
    assert!(began.elapsed() >= Duration::from_millis(970), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn slow_answers_hold_the_line_back_and_break_nothing() {
    // 320 places of half a second: 640 looks a second at most.
    let (looks, gap_max) = crowd(2_000, seconds(20), Duration::from_millis(500)).await;
    let all: u64 = looks.iter().sum();
    assert!((11_000..=13_200).contains(&all), "{all}");
    assert!(gap_max < seconds(6), "{gap_max:?}");
}
