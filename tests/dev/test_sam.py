"""The template is read as CloudFormation reads it, and routes are chosen as API Gateway chooses them."""

from pathlib import Path

import pytest

from dev.routing import Router
from dev.sam import QueueSource, Route, Schedule, Template, TemplateError, WebSocketApi, WebSocketRoute

TEMPLATE = """
Parameters:
  Origins: {Type: CommaDelimitedList, Default: "http://a, http://b"}
  Level: {Type: String, Default: INFO}
  Secret: {Type: String}
Mappings:
  Sizes: {local: {Memory: 512}}
Globals:
  Function:
    Timeout: 10
    Environment: {Variables: {LEVEL: !Ref Level, QUEUE: !Ref Queue, SHARED: common}}
Resources:
  First:
    Type: AWS::Serverless::Function
    Properties:
      Handler: first.routes.handler
      MemorySize: !FindInMap [Sizes, local, Memory]
      Environment:
        Variables:
          SHARED: own
          ORIGINS: !Join [",", !Ref Origins]
          SECRET: !Ref Secret
          ARN: !Sub "${AWS::Region}/${Table.Arn}/${Word}/${!literal}"
          WORDS: !Sub ["${Word}", {Word: !Ref Level}]
      Events:
        Any: {Type: HttpApi, Properties: {Method: any, Path: "/first/{proxy+}"}}
        Rest: {Type: HttpApi}
        Other: {Type: Schedule}
  Word: {Type: AWS::Serverless::HttpApi}
  Queue: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: people}}
"""
SOURCES = """
Resources:
  Socket:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.meta.action
      Routes:
        $connect: {FunctionArn: !GetAtt Worker.Arn}
        send: {FunctionArn: !Ref Worker.Alias, IntegrationTimeout: 500}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: worker.handler
      Environment:
        Variables:
          NAME: !GetAtt Orders.QueueName
          URL: !Sub "https://${Socket}.example.com/live"
      Events:
        Orders:
          Type: SQS
          Properties:
            Queue: !GetAtt Orders.Arn
            BatchSize: 1
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: 4}
        Letters: {Type: SQS, Properties: {Queue: !GetAtt Letters.Arn}}
        Off: {Type: SQS, Properties: {Queue: !GetAtt Letters.Arn, Enabled: false}}
        Sweep: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}
        Tidy: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(2 hours)}}
        Never: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day), State: DISABLED}}
  Orders: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Letters: {Type: AWS::SQS::Queue, Properties: {QueueName: letters}}
"""
CONDITIONS = """
Parameters:
  Egress: {Type: String, Default: nat}
  Proxy: {Type: String, Default: "false"}
Conditions:
  UsesNat: !Equals [!Ref Egress, nat]
  UsesProxy: !Equals [!Ref Proxy, "true"]
  IsDear: !And [!Condition UsesNat, !Condition UsesProxy]
  IsPlain: !Not [!Or [!Condition UsesNat, !Condition UsesProxy]]
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: worker.handler
      Environment:
        Variables:
          EGRESS: !If [UsesNat, nat, none]
          DEAR: !If [IsDear, "yes", "no"]
          PLAIN: !If [IsPlain, "yes", "no"]
          DATABASE: !Sub ["db://${At}", {At: !If [UsesProxy, !Ref Egress, !GetAtt Database.Address]}]
          SECRET: !Ref Secret
  Database: {Type: AWS::RDS::DBInstance}
  Secret: {Type: AWS::SecretsManager::Secret}
  Inbox:
    Type: AWS::SQS::Queue
    Condition: UsesNat
    Properties: {Tags: [!If [IsDear, 1, !Ref AWS::NoValue], 2]}
  Outbox: {Type: AWS::SQS::Queue, Condition: UsesProxy, Properties: {Tags: !Ref AWS::NoValue}}
"""


@pytest.fixture
def template(tmp_path: Path) -> Template:
    return written(tmp_path, TEMPLATE, {"Level": "DEBUG"})


def written(folder: Path, text: str, parameters: dict[str, str] | None = None) -> Template:
    (folder / "template.yaml").write_text(text)
    return Template(folder / "template.yaml", parameters=parameters, endpoint="http://127.0.0.1:1")


class TestTemplate:
    def test_a_functions_settings_go_over_the_global_ones(self, template: Template) -> None:
        function = template.functions["First"]
        assert (function.timeout, function.memory) == (10, 512)
        assert function.environment["SHARED"] == "own"

    def test_a_given_parameter_goes_over_its_default_and_a_missing_one_is_empty(
        self, template: Template
    ) -> None:
        environment = template.functions["First"].environment
        assert (environment["LEVEL"], environment["SECRET"]) == ("DEBUG", "")

    def test_intrinsic_functions_are_worked_out(self, template: Template) -> None:
        environment = template.functions["First"].environment
        assert environment["ORIGINS"] == "http://a,http://b"
        assert environment["ARN"] == (
            "us-east-1/arn:aws:dynamodb:us-east-1:123456789012:table/people/Word/${literal}"
        )
        assert environment["WORDS"] == "DEBUG"

    def test_a_queue_is_referred_to_by_its_url(self, template: Template) -> None:
        url = template.functions["First"].environment["QUEUE"]
        assert url == "http://127.0.0.1:1/123456789012/academy-local-Queue.fifo"

    def test_only_http_events_are_routes(self, template: Template) -> None:
        assert [route.key for route in template.routes] == ["ANY /first/{proxy+}", "$default"]

    def test_what_is_not_understood_is_refused_by_name(self, tmp_path: Path) -> None:
        template = written(tmp_path, "Resources: {A: {Type: T, Properties: {B: !Cidr [a, 1, 2]}}}")
        with pytest.raises(TemplateError, match="Fn::Cidr"):
            list(template.resources("T"))

    def test_a_reference_to_nothing_is_refused(self, tmp_path: Path) -> None:
        template = written(tmp_path, "Resources: {A: {Type: T, Properties: {B: !Ref Nobody}}}")
        with pytest.raises(TemplateError, match="refers to Nobody"):
            list(template.resources("T"))

    @pytest.mark.parametrize("text", ["Resources: [", "- a list"])
    def test_what_is_no_template_is_one_sentence(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(TemplateError, match=r"template\.yaml"):
            written(tmp_path, text)


class TestSources:
    @pytest.fixture
    def template(self, tmp_path: Path) -> Template:
        return written(tmp_path, SOURCES)

    def test_a_websocket_api_has_a_stage_a_selection_and_functions_behind_its_routes(
        self, template: Template
    ) -> None:
        assert template.websocket_api == WebSocketApi(
            stage="live",
            selection=("meta", "action"),
            routes={"$connect": WebSocketRoute("Worker", 29), "send": WebSocketRoute("Worker", 0.5)},
        )

    def test_a_template_without_one_has_no_stage(self, tmp_path: Path) -> None:
        assert written(tmp_path, "Resources: {}").websocket_api.stage == ""

    def test_a_queues_name_and_an_apis_id_can_be_told_to_a_function(self, template: Template) -> None:
        environment = template.functions["Worker"].environment
        assert environment["NAME"] == "academy-local-Orders.fifo"
        assert environment["URL"] == "https://localapi00.example.com/live"

    def test_a_queue_feeds_a_function_on_the_templates_terms_or_lambdas_own(self, template: Template) -> None:
        orders, letters = template.queue_sources
        assert orders == QueueSource(
            function="Worker",
            arn="arn:aws:sqs:us-east-1:123456789012:academy-local-Orders.fifo",
            url="http://127.0.0.1:1/123456789012/academy-local-Orders.fifo",
            batch_size=1,
            partial=True,
            concurrency=4,
        )
        assert (letters.batch_size, letters.partial, letters.concurrency) == (10, False, None)
        assert (orders.is_fifo, letters.is_fifo) == (True, False)

    def test_a_schedule_that_is_on_ticks(self, template: Template) -> None:
        assert template.schedules == [
            Schedule("academy-local-WorkerSweep", "Worker", 60, scheduler=False),
            Schedule("academy-local-WorkerTidy", "Worker", 7200, scheduler=True),
        ]

    @pytest.mark.parametrize(
        ("known", "unknown", "words"),
        [
            ("$request.body.meta.action", "$request.header.action", r"\$request\.header\.action"),
            ("StageName: live", "Auth: {AuthType: AWS_IAM}", "gives Socket Auth"),
            ("rate(1 minute)", "'cron(0 4 * * ? *)'", r"cron\(0 4"),
        ],
    )
    def test_what_would_behave_differently_is_refused(
        self, tmp_path: Path, known: str, unknown: str, words: str
    ) -> None:
        template = written(tmp_path, SOURCES.replace(known, unknown))
        with pytest.raises(TemplateError, match=words):
            _ = template.websocket_api, template.schedules


class TestConditions:
    def test_they_follow_the_parameters(self, tmp_path: Path) -> None:
        cheap = written(tmp_path, CONDITIONS).functions["Worker"].environment
        assert (cheap["EGRESS"], cheap["DEAR"], cheap["PLAIN"]) == ("nat", "no", "no")
        dear = written(tmp_path, CONDITIONS, {"Proxy": "true"}).functions["Worker"].environment
        assert (dear["DEAR"], dear["DATABASE"]) == ("yes", "db://nat")
        plain = written(tmp_path, CONDITIONS, {"Egress": "ipv6"}).functions["Worker"].environment
        assert (plain["EGRESS"], plain["PLAIN"]) == ("none", "yes")

    def test_a_resource_whose_condition_is_false_is_not_there(self, tmp_path: Path) -> None:
        with_nat = written(tmp_path, CONDITIONS).named("AWS::SQS::Queue")
        with_both = written(tmp_path, CONDITIONS, {"Proxy": "true"}).named("AWS::SQS::Queue")
        assert (with_nat, with_both) == (["Inbox"], ["Inbox", "Outbox"])

    def test_what_has_no_value_is_left_out(self, tmp_path: Path) -> None:
        template = written(tmp_path, CONDITIONS, {"Proxy": "true", "Egress": "ipv6"})
        assert list(template.resources("AWS::SQS::Queue")) == [("academy-local-Outbox", {})]
        assert template.resolve(template.properties("Inbox")) == {"Tags": [2]}

    def test_a_condition_that_nobody_declares_is_refused(self, tmp_path: Path) -> None:
        template = written(tmp_path, CONDITIONS.replace("Condition: UsesNat", "Condition: Nobody"))
        with pytest.raises(TemplateError, match="the condition Nobody"):
            template.named("AWS::SQS::Queue")

    def test_a_variable_that_leads_to_what_only_aws_has_is_left_to_local_settings(
        self, tmp_path: Path
    ) -> None:
        assert written(tmp_path, CONDITIONS).functions["Worker"].environment.keys() == {
            "EGRESS",
            "DEAR",
            "PLAIN",
        }

    def test_a_wrong_attribute_of_what_is_played_is_still_refused(self, tmp_path: Path) -> None:
        template = written(tmp_path, SOURCES.replace("!GetAtt Orders.QueueName", "!GetAtt Orders.Colour"))
        with pytest.raises(TemplateError, match=r"Orders\.Colour"):
            _ = template.functions


class TestRouting:
    # The example of the developer guide, in an order that would mislead whoever takes the first that fits.
    ROUTES = (
        "$default",
        "ANY /{proxy+}",
        "GET /pets/{proxy+}",
        "ANY /pets/dog/{id}",
        "GET /pets/dog/{id}",
        "GET /pets/dog/1",
    )

    @pytest.mark.parametrize(
        ("method", "path", "key"),
        [
            ("GET", "/pets/dog/1", "GET /pets/dog/1"),
            ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
            ("PUT", "/pets/dog/2", "ANY /pets/dog/{id}"),
            ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
            ("GET", "/pets/dog/2/more", "GET /pets/{proxy+}"),
            ("POST", "/pets/cat/1", "ANY /{proxy+}"),
            ("POST", "/", "$default"),
        ],
    )
    def test_the_most_specific_route_that_takes_the_method_wins(
        self, method: str, path: str, key: str
    ) -> None:
        match = Router(Route(key, "F") for key in self.ROUTES).match(method, path)
        assert match is not None
        assert match.route.key == key

    def test_variables_are_handed_over(self) -> None:
        match = Router([Route("ANY /a/{id}/{rest+}", "F")]).match("GET", "/a/1/b/c")
        assert match is not None
        assert match.parameters == {"id": "1", "rest": "b/c"}

    @pytest.mark.parametrize("path", ["/a", "/a/", "/ab", "/b/a"])
    def test_a_variable_is_never_empty_and_a_path_never_half_matched(self, path: str) -> None:
        assert Router([Route("ANY /a/{rest+}", "F")]).match("GET", path) is None
