"""The page of costs says what the template costs now, and every size is enough for whom it is meant."""

from infra import costs


def test_the_page_is_what_the_script_works_out() -> None:
    page = (costs.DOCS / "costs.md").read_text(encoding="utf-8")
    assert costs.tables() in page, "run `make costs`"


def test_the_busiest_hour_stays_within_every_limit() -> None:
    for case in costs.CASES:
        for limit, (wanted, given) in costs.load(case).items():
            assert wanted < 0.7 * given, f"{limit} at {case.learners} learners a day"


def test_what_is_kept_for_a_year_fits_into_the_database() -> None:
    for case in costs.CASES:
        assert case.stored_gb < case.template.section("Mappings")["Sizes"][case.size]["StorageGb"]


def test_more_learners_cost_more_in_all_and_less_each() -> None:
    bills = [sum(costs.bill(case).values()) for case in costs.CASES]
    each = [bill / case.learners for bill, case in zip(bills, costs.CASES, strict=True)]
    assert bills == sorted(bills)
    assert each == sorted(each, reverse=True)
