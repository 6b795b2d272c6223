"""Fraud detection as tutorials have it: expiring state, timers that are moved, alerts and duplicates on the side."""

import json

from pyflink.common import Duration, Row, Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import KeyedProcessFunction, OutputTag, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor, StateTtlConfig, ValueStateDescriptor

ALERTS = OutputTag("alerts", Types.MAP(Types.STRING(), Types.STRING()))
DUPLICATES = OutputTag("duplicates", Types.STRING())
PAYMENT = Types.ROW_NAMED(["card", "amount", "ts"], [Types.STRING(), Types.DOUBLE(), Types.LONG()])


class PaymentTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp: int) -> int:
        return value.ts


class FraudDetector(KeyedProcessFunction):
    SMALL_AMOUNT = 1.0
    LARGE_AMOUNT = 500.0
    ONE_MINUTE = 60 * 1000

    def open(self, runtime_context: RuntimeContext):
        ttl = (
            StateTtlConfig.new_builder(Time.minutes(10))
            .set_update_type(StateTtlConfig.UpdateType.OnCreateAndWrite)
            .set_state_visibility(StateTtlConfig.StateVisibility.NeverReturnExpired)
            .build()
        )
        flag = ValueStateDescriptor("flag", Types.BOOLEAN())
        flag.enable_time_to_live(ttl)
        self.flag_state = runtime_context.get_state(flag)
        self.timer_state = runtime_context.get_state(ValueStateDescriptor("timer-state", Types.LONG()))
        times = ListStateDescriptor("times", Types.LONG())
        times.enable_time_to_live(ttl)
        self.times = runtime_context.get_list_state(times)
        self.seen = runtime_context.get_map_state(MapStateDescriptor("seen", Types.STRING(), Types.BOOLEAN()))
        self.alerts = runtime_context.get_metrics_group().add_group("fraud").counter("alerts")

    def process_element(self, value, ctx: "KeyedProcessFunction.Context"):
        recent = [time for time in self.times.get() if ctx.timestamp() - time < 120_000]
        recent.append(ctx.timestamp())
        self.times.update(recent)
        payment = "%s-%d" % (value["card"], value["ts"])
        if self.seen.contains(payment):
            yield DUPLICATES, json.dumps({"payment": payment})
            return
        self.seen.put(payment, True)
        if self.flag_state.value():
            if value["amount"] > self.LARGE_AMOUNT:
                self.alerts.inc()
                yield ALERTS, {"card": value.card, "amount": str(value.amount), "recent": str(len(recent))}
            self.clean_up(ctx)
        if value.amount < self.SMALL_AMOUNT:
            self.flag_state.update(True)
            timer = ctx.timestamp() + self.ONE_MINUTE
            ctx.timer_service().register_event_time_timer(timer)
            self.timer_state.update(timer)
        yield value

    def on_timer(self, timestamp: int, ctx: "KeyedProcessFunction.OnTimerContext"):
        self.timer_state.clear()
        self.flag_state.clear()
        yield Row(card="timer of " + ctx.get_current_key(), amount=0.0, ts=timestamp)

    def clean_up(self, ctx):
        timer = self.timer_state.value()
        if timer is not None:
            ctx.timer_service().delete_event_time_timer(timer)
        self.timer_state.clear()
        self.flag_state.clear()


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
payments = [("a", 0.5, 1000), ("a", 600.0, 2000), ("b", 0.1, 3000), ("b", 700.0, 100000), ("a", 0.5, 1000)]
payments += [("c", 5.0, 110000), ("b", 0.2, 120000)]
watermarks = (
    WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
    .with_timestamp_assigner(PaymentTime())
    .with_idleness(Duration.of_seconds(10))
)
stream = env.from_collection([Row(*payment) for payment in payments], type_info=PAYMENT)
detected = (
    stream.assign_timestamps_and_watermarks(watermarks)
    .key_by(lambda payment: payment.card, key_type=Types.STRING())
    .process(FraudDetector(), output_type=PAYMENT)
    .name("fraud-detector")
    .uid("fraud-detector")
)
detected.print()
detected.get_side_output(ALERTS).map(lambda alert: json.dumps(alert, sort_keys=True), Types.STRING()).print()
detected.get_side_output(DUPLICATES).print()
env.execute("Fraud Detection")
