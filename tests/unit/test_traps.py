"""Known traps of what heeler learns from, each with the tests that notice who falls in.

Those of learning from preferences are a file of their own, `tests/unit/loop/test_preferences_traps.py`.
"""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TEXT, ACCUMULATION = "unit/algorithms/test_text_traps.py", "unit/algorithms/test_text_conformance.py"
KL, LOSSES, REWARD_MODEL = (
    "unit/ops/test_text_kl.py",
    "unit/ops/test_text_losses.py",
    "unit/rewards/test_language_model.py",
)
CONSTRAINED, MULTIPLIERS, SHIELD = (
    "unit/algorithms/test_constrained.py",
    "unit/safety/test_multipliers.py",
    "unit/safety/shields/test_shield.py",
)
ADVERSARIAL, EVALUATIVE = "unit/rewards/test_adversarial.py", "unit/algorithms/test_evaluative.py"
CROWD, VERDICTS, ANSWERERS = (
    "unit/feedback/annotators/test_crowd_bt.py",
    "unit/feedback/annotators/test_verdicts.py",
    "unit/rewards/test_answerers.py",
)

WHO, SUITES = "unit/loop/test_who_answers.py", "unit/evaluation/test_text_suites.py"

Traps = dict[str, list[tuple[str, str]]]
"""Trap to (file, test)."""

TEXT_TRAPS: Traps = {
    "only completion tokens in the loss": [(TEXT, "test_trap_only_tokens_of_completions_are_in_the_loss")],
    "same mask in numerator and denominator": [
        (TEXT, "test_trap_same_mask_in_numerator_and_denominator"),
        (LOSSES, "test_trap_same_mask_in_numerator_and_denominator"),
        ("unit/algorithms/test_sft_mask.py", "test_trap_same_mask_in_numerator_and_denominator"),
    ],
    "end of text learned: mask by length, not by token": [
        (TEXT, "test_trap_end_of_text_is_learned_where_it_is_also_the_padding")
    ],
    "truncated completions handled by an explicit choice": [
        (TEXT, "test_trap_truncated_completions_are_kept_or_masked_as_was_chosen"),
        (TEXT, "test_trap_truncated_completions_count_in_the_baseline_either_way"),
        (TEXT, "test_trap_truncated_completions_may_get_another_reward_in_online_dpo"),
    ],
    "no length bias: token mean or constant divisor": [
        (TEXT, "test_trap_token_mean_and_constant_divisor_have_no_length_bias"),
        (TEXT, "test_trap_no_length_bias_by_default"),
        (LOSSES, "test_trap_no_length_bias_by_token_mean_or_constant_divisor"),
    ],
    "RLOO's baseline excludes the completion itself": [
        ("unit/ops/test_group_advantages.py", "test_trap_rloo_baseline_excludes_the_completion_itself")
    ],
    "groups without spread counted": [(TEXT, "test_trap_groups_without_spread_are_counted_and_teach_nothing")],
    "rewards that are None left out of the baseline": [
        (TEXT, "test_trap_rewards_that_are_none_are_as_if_the_completion_were_not_there"),
        ("unit/ops/test_group_advantages.py", "test_trap_rewards_that_are_none_are_left_out_of_the_baseline"),
        ("unit/rewards/text/test_compose.py", "test_none_is_not_applicable_and_left_out_of_the_baseline"),
    ],
    "several rewards normalised before they are summed": [
        ("unit/rewards/text/test_compose.py", "test_several_rewards_are_normalised_before_they_are_summed")
    ],
    "E[k1] = E[k3] = KL on policy": [(KL, "test_trap_mean_of_k1_and_of_k3_is_the_kl_on_policy")],
    "k2 has the right gradient when differentiated": [(KL, "test_trap_k2_has_the_right_gradient_when_differentiated")],
    "k1 in the loss has none": [(KL, "test_trap_k1_in_the_loss_has_no_gradient")],
    "log-ratios clamped, expm1": [
        (KL, "test_trap_log_ratios_are_clamped_and_small_ones_keep_their_digits"),
        (LOSSES, "test_trap_ratios_of_far_models_stay_finite"),
    ],
    "same temperature in sampling and log-probabilities, first ratio 1": [
        (TEXT, "test_trap_first_ratio_is_one_at_every_temperature"),
        (LOSSES, "test_trap_first_ratio_is_one"),
        ("unit/models/language/test_architectures.py", "test_trap_first_step_ratio_is_one"),
    ],
    "left-padding invariance": [("unit/models/language/test_architectures.py", "test_trap_left_padding_invariance")],
    "accumulation and data-parallel splits give the gradient of one batch": [
        (ACCUMULATION, "test_trap_gradient_accumulation_gives_the_gradient_of_one_batch"),
        ("unit/algorithms/test_text_parallel.py", "test_trap_data_parallel_learning_gives_the_gradient_of_one_batch"),
    ],
    "token-in-token-out": [
        ("unit/models/language/test_tokens.py", "test_trap_token_in_token_out"),
        ("unit/rollouts/test_sampler.py", "test_trap_a_completion_is_the_tokens_that_were_sampled"),
    ],
    "chosen and rejected share the prompt's tokens": [
        (REWARD_MODEL, "test_trap_chosen_and_rejected_share_the_prompts_tokens"),
        ("unit/ops/test_micro_batches.py", "test_trap_chosen_and_rejected_share_the_prompt_s_tokens"),
    ],
    "reward models invariant to a shift: centred": [
        (REWARD_MODEL, "test_trap_reward_models_are_invariant_to_a_shift"),
        (
            "unit/ops/test_preference_losses.py",
            "test_trap_a_pairwise_loss_does_not_change_with_a_shift_and_centring_holds_it",
        ),
    ],
    "resume bit-identical, at epoch boundaries too": [
        (ACCUMULATION, "test_trap_resume_is_bit_identical"),
        (REWARD_MODEL, "test_trap_resume_is_bit_identical_at_epoch_boundaries_too"),
    ],
}

CONSTRAINT_TRAPS: Traps = {
    "rescaling the cost must not change the multiplier's meaning": [
        (CONSTRAINED, "test_rescaling_the_cost_does_not_change_the_meaning_of_its_price")
    ],
    "cost has its own discount": [(CONSTRAINED, "test_each_cost_has_a_discount_and_a_trace_decay_of_its_own")],
    "limit is on the undiscounted sum": [
        ("unit/safety/test_costs.py", "test_the_limit_is_on_the_sum_that_is_not_discounted")
    ],
    "multiplier clamps at nothing, with anti-windup": [
        (MULTIPLIERS, "test_it_stays_at_nothing_while_the_budget_is_kept_and_rises_at_once_when_it_is_not"),
        (MULTIPLIERS, "test_it_stops_at_its_maximum_and_comes_down_at_once"),
    ],
    "no finished episode is no update, not NaN": [
        (CONSTRAINED, "test_no_finished_episode_is_no_update_of_prices_and_not_nan"),
        (MULTIPLIERS, "test_no_finished_episode_is_no_update_and_not_nan"),
    ],
    "truncation bootstraps both critics": [
        (CONSTRAINED, "test_truncation_bootstraps_both_critics_and_termination_neither")
    ],
    "never penalised in the reward and through the multiplier at once": [
        (CONSTRAINED, "test_nothing_is_paid_for_in_the_reward_and_through_a_price_at_once")
    ],
    "cost per step, length and violations are reported": [
        (CONSTRAINED, "test_violations_cost_per_step_and_level_are_told_while_learning")
    ],
    "evaluation never updates statistics": [(CONSTRAINED, "test_evaluation_never_updates_statistics")],
    "masks renormalise, and are the same at update time": [
        ("unit/algorithms/test_masks.py", "test_masks_renormalise_log_probability_entropy_and_kl"),
        ("unit/algorithms/test_masks.py", "test_masked_logits_get_no_gradient_at_all"),
        ("unit/algorithms/test_masks.py", "test_the_mask_is_the_same_at_update_time"),
    ],
    "a shield logs proposed and executed action": [(SHIELD, "test_proposed_and_executed_actions_are_both_logged")],
    "an empty safe set has a defined fallback": [
        (SHIELD, "test_an_empty_safe_set_has_a_defined_fallback"),
        (SHIELD, "test_a_fallback_that_is_what_was_proposed_is_counted_too"),
    ],
    "CPO: infeasible recovery, line search, damping": [
        (CONSTRAINED, "test_cpo_recovers_where_no_step_keeps_the_budget"),
        (CONSTRAINED, "test_cpo_searches_along_its_step_until_it_holds"),
        (CONSTRAINED, "test_cpo_keeps_to_its_kl_and_damping_keeps_it_shorter"),
    ],
}

IMITATION_TRAPS: Traps = {
    "GAIL's survive form pays for staying alive": [
        (ADVERSARIAL, "test_gails_survive_form_pays_for_staying_alive_where_the_expert_ends"),
        (ADVERSARIAL, "test_with_ends_counted_every_form_prefers_what_the_expert_did"),
    ],
    "AIRL transfers only with a state-only reward": [
        (ADVERSARIAL, "test_airl_transfers_only_with_a_state_only_reward_tested_under_changed_dynamics")
    ],
    "feedback on delay is credited to the right step": [
        ("unit/ops/test_credit.py", "test_feedback_on_delay_is_credited_to_the_right_step")
    ],
    "feedback is about the policy, not a reward": [(EVALUATIVE, "test_feedback_is_about_the_policy_not_a_reward")],
    "visits sum to those of one more state than steps": [
        ("unit/rewards/inverse/test_planning.py", "test_trap_visits_sum_to_those_of_one_more_state_than_steps"),
        (
            "unit/rewards/inverse/test_demonstrations.py",
            "test_trap_visits_of_whole_demonstrations_sum_to_one_more_state_than_steps",
        ),
    ],
    "features and visits match to 1e-3": [
        ("unit/rewards/inverse/test_max_causal_entropy.py", "test_trap_features_and_visits_match_to_1e_3")
    ],
}

PEOPLE_TRAPS: Traps = {
    "adversaries are anchored by gold": [(CROWD, "test_trap_majorities_of_hostile_people_are_turned_round_by_gold")],
    "position bias is modelled": [(CROWD, "test_trap_position_bias_is_modelled_and_is_not_taken_for_hostility")],
    "answers that took too little time count for less": [
        (CROWD, "test_trap_speed_bias_answers_that_took_too_little_time_count_for_less")
    ],
    "products of many people do not underflow": [
        ("unit/feedback/annotators/test_dawid_skene.py", "test_trap_products_of_many_people_do_not_underflow")
    ],
    "colluding people are found": [(VERDICTS, "test_trap_colluding_people_are_found_with_each_other_and_nobody_else")],
    "a few poisoned pairs steer a reward": [(VERDICTS, "test_trap_a_few_poisoned_pairs_are_found_by_what_they_push")],
    "influence is capped": [
        (VERDICTS, "test_trap_nobody_weighs_more_than_the_cap_and_colluders_weigh_as_one"),
        (ANSWERERS, "test_trap_one_person_never_outweighs_the_cap"),
    ],
    "nobody is judged by what learned from them": [
        (ANSWERERS, "test_trap_nobody_is_judged_by_what_learned_from_their_answer")
    ],
    "people change what they want": [
        (WHO, "test_a_change_of_mind_is_noticed_forgotten_and_told"),
        (WHO, "test_without_a_change_nothing_is_forgotten"),
        (WHO, "test_one_person_who_changes_alone_says_nothing_of_them_before"),
        (VERDICTS, "test_who_all_changed_their_minds_are_judged_by_their_answers_since"),
    ],
    "small cells are not told, nor can they be worked out": [
        ("unit/evaluation/test_fairness.py", "test_no_size_that_is_hidden_can_be_worked_out_from_those_that_are_shown"),
        ("unit/evaluation/test_agreement.py", "test_groups_of_few_people_are_not_told_however_much_these_answered"),
        ("unit/loop/test_grouping.py", "test_of_few_people_nothing_is_shown_nor_can_it_be_worked_out"),
    ],
    "sycophancy: what people say they believe is followed": [
        (SUITES, "test_sycophancy_flips_under_pushback"),
        (SUITES, "test_sycophancy_follows_a_stated_belief"),
    ],
    "sides are drawn anew for everybody": [
        ("unit/service/test_feedback.py", "test_sides_are_swapped_for_half_of_all"),
        ("unit/loop/test_preferences_loop.py", "test_both_sides_are_as_likely_to_show_the_better_clip"),
    ],
}


def test_every_trap_has_its_tests_and_every_test_of_a_trap_is_listed():
    pattern = re.compile(r"^def (test_\w+)", re.MULTILINE)
    found = {
        (str(path.relative_to(TESTS)), name)
        for path in TESTS.rglob("test_*.py")
        for name in pattern.findall(path.read_text(encoding="utf-8"))
    }
    traps = TEXT_TRAPS | CONSTRAINT_TRAPS | IMITATION_TRAPS | PEOPLE_TRAPS
    listed = {test for tests in traps.values() for test in tests}
    assert listed <= found
    assert {test for test in found if test[1].startswith("test_trap_")} <= listed
