"""The faults that a long training meets, in one table: the message and the exit status, or who else tests it.

Up to 60 the numbers are those of the list of faults that the project was planned with; above are what was met since.
A row with arguments is tried here on scripts/train.py, or on the script named first; "tested by" names functions that
have to exist in tests/; a reason stands where a fault cannot happen.
"""

import ast
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial

import pytest

from pods_jax.storage import checkpoints, checksums
from scripts import doctor, evaluate, export, plot, render, train
from tests.faults import toy

ROOT = pathlib.Path(__file__).parents[2]
MAIN = {
    "train": partial(train.main, evaluator=toy.EVALUATOR),
    "evaluate": partial(evaluate.main, evaluator=toy.EVALUATOR),
    "render": render.main,
    "doctor": doctor.main,
    "export": export.main,
    "plot": plot.main,
}
QUICK = ("--config=configs/pods.py", "--config.num_epochs=2", "--config.num_test_rollouts=4")


@dataclass(frozen=True)
class Fault:
    number: int
    what: str
    arguments: tuple[str, ...] = ()  # {run}: a folder with a run of two epochs; {new}: a folder that is not there
    message: str = ""
    status: int = 0
    damage: str = ""  # a function below that spoils {run} first
    tested_by: tuple[str, ...] = field(default=())
    reason: str = ""


RUN = ("--workdir={run}", *QUICK)
NEW = ("--workdir={new}", *QUICK)


def env(number, what, setting, message):
    return Fault(number, what, (*NEW, f"--config.env.{setting}"), message, 2)


def algorithm(number, what, setting, message):
    return Fault(number, what, (*NEW, f"--config.algorithm.{setting}"), message, 2)


FAULTS = (
    Fault(
        1,
        "kill -9, also during a save",
        tested_by=(
            "test_a_run_survives_kill_and_signals_and_keeps_others_out",
            "test_twenty_kills_at_random_moments_change_nothing",
        ),
    ),
    Fault(2, "SIGTERM", tested_by=("test_a_run_survives_kill_and_signals_and_keeps_others_out",)),
    Fault(
        3,
        "Ctrl-C, once and twice",
        tested_by=(
            "test_a_run_survives_kill_and_signals_and_keeps_others_out",
            "test_ctrl_c_stops_a_training_that_then_goes_on",
        ),
    ),
    Fault(
        4, "SIGTERM during the first compilation", tested_by=("test_a_signal_while_compiling_stops_after_a_chunk",)
    ),
    Fault(5, "disk full during a save", tested_by=("test_a_full_disk_is_named_and_harms_nothing",)),
    Fault(
        6,
        "disk full while writing metrics: the run stops with status 5, as metrics are part of what it promises",
        tested_by=("test_a_full_disk_while_writing_metrics_names_the_file",),
    ),
    Fault(7, "read-only workdir", tested_by=("test_a_workdir_on_a_read_only_disk_is_refused",)),
    Fault(8, "workdir is a file", ("--workdir={run}/config.json", *QUICK), "config.json is a file; name a folder", 2),
    Fault(9, "relative workdir", tested_by=("test_a_relative_folder_works",)),
    Fault(
        10,
        "bit flips in a checkpoint",
        RUN,
        "warning: damaged checkpoint .*checkpoints/2: .*; using that of epoch 1",
        0,
        "flip_numbers_of_latest",
        ("test_sixty_flips_and_thirty_truncations_and_deletions_restore_nothing_wrong",),
    ),
    Fault(11, "truncated or deleted files in it", tested_by=("test_damage_is_refused_or_harmless",)),
    Fault(12, "every checkpoint is bad", RUN, "no checkpoint can be used, and nothing was changed", 3, "empty_all"),
    Fault(13, "another architecture", (*RUN, "--config.algorithm.hidden_sizes=(8,)"), r"\[128, 128\], now \[8\]", 2),
    Fault(14, "another environment", (*RUN, "--config.env.name=pendulum_3d"), "'pendulum_2d', now 'pendulum_3d'", 2),
    Fault(14, "other physics", (*RUN, "--config.env.task=stop_at_origin"), "config.env.task: 'stop', now", 2),
    Fault(15, "another type", tested_by=("test_a_state_of_another_shape_structure_or_type_is_refused",)),
    Fault(16, "a newer format", RUN, "it has format 99, and this version of pods_jax reads", 3, "newer_format"),
    Fault(17, "two processes in a workdir", tested_by=("test_a_run_survives_kill_and_signals_and_keeps_others_out",)),
    Fault(18, "saving an older epoch", tested_by=("test_a_saved_epoch_is_not_overwritten",)),
    Fault(18, "damaged steps in the way", tested_by=("test_damage_does_not_stop_the_saving",)),
    Fault(19, "metrics cut in the middle of a line", tested_by=("test_half_a_line_of_a_killed_process_is_dropped",)),
    Fault(
        20,
        "corrupted compilation cache",
        tested_by=("test_a_cache_that_is_shared_damaged_or_cannot_be_written_changes_nothing",),
    ),
    Fault(
        21,
        "another number of devices",
        tested_by=("test_any_number_of_devices_gives_the_same_bits_and_goes_on_with_those_of_another",),
    ),
    Fault(
        22,
        "a wrong type",
        (*NEW, "--config.algorithm.optimizer.learning_rate=abc"),
        "could not convert string to float",
        2,
    ),
    Fault(22, "a fraction for a seed", (*NEW, "--config.seed=1.5"), r"flag --config.seed=1.5: invalid literal", 2),
    Fault(23, "a misspelt field", (*NEW, "--config.sed=1"), 'Did you mean "seed"', 2),
    algorithm(
        24,
        "nan",
        "optimizer.learning_rate=nan",
        "config.algorithm.optimizer.learning_rate = nan: must be a finite number",
    ),
    algorithm(
        24,
        "infinity",
        "improvement.damping=inf",
        "config.algorithm.improvement.damping = inf: must be a finite number",
    ),
    env(24, "zero", "horizon=0", "config.env.horizon = 0: must be a whole number, at least 1"),
    Fault(25, "wrong types inside tuples, None", tested_by=("test_a_mistake_in_a_section_is_named",)),
    algorithm(25, "a word in a tuple", "hidden_sizes=(8,'a')", r"hidden_sizes\[1\] = 'a': must be a whole number"),
    Fault(26, "a seed that jax would wrap", (*NEW, "--config.seed=4294967296"), "at most 4294967295", 2),
    env(27, "an unknown environment", "name=pendulm2d", "did you mean 'pendulum_2d'"),
    Fault(28, "a batch that devices do not divide", tested_by=("test_each_device_has_loops_of_its_own",)),
    Fault(29, "a configuration file that raises", tested_by=("test_a_failing_configuration_file_is_one_line",)),
    Fault(29, "a missing configuration file", ("--workdir={new}", "--config=no.py"), "cannot be read", 2),
    Fault(30, "an extra argument", (*NEW, "extra"), "unexpected argument 'extra'", 2),
    Fault(30, "an unknown flag", (*NEW, "--wrkdir=x"), "Unknown command line flag 'wrkdir'", 2),
    Fault(31, "float64 without x64", reason="there is no such setting: JAX_ENABLE_X64=1 decides, and 15 refuses"),
    Fault(32, "a missing GPU plug-in", tested_by=("test_a_missing_plug_in_is_named",)),
    Fault(33, "a missing extra", tested_by=("test_a_missing_package_names_the_extra",)),
    Fault(
        34,
        "an action of another shape",
        tested_by=(
            "test_another_action_shape_is_refused_with_both_shapes",
            "test_actions_of_another_shape_are_refused",
        ),
    ),
    Fault(
        35,
        "impossible systems",
        tested_by=(
            "test_a_spring_joins_existing_points",
            "test_points_that_nothing_holds_are_named",
            "test_coincident_points_give_finite_forces_and_derivatives",
        ),
    ),
    Fault(36, "the wrong results of jax 0.10.2", tested_by=("test_batches_of_tiny_products_are_computed_correctly",)),
    Fault(
        37,
        "an unsolved step",
        tested_by=(
            "test_what_is_not_a_solution_is_seen",
            "test_a_rollout_with_a_nan_or_an_unsolved_step_is_not_healthy",
        ),
    ),
    Fault(
        38,
        "a diverging solver",
        tested_by=(
            "test_halving_finds_the_root_where_full_steps_diverge",
            "test_one_bad_problem_in_a_batch_leaves_the_others_unchanged",
        ),
    ),
    Fault(
        39,
        "rollouts that are not finite, one and all",
        tested_by=(
            "test_a_rollout_that_is_not_finite_never_reaches_the_policy",
            "test_when_every_rollout_of_an_epoch_fails_the_run_stops",
        ),
    ),
    Fault(
        40,
        "a fit that is not finite",
        tested_by=(
            "test_a_failed_fit_is_taken_back_with_a_lower_learning_rate",
            "test_a_run_that_cannot_be_repaired_says_so_and_can_be_run_again",
        ),
    ),
    Fault(
        41,
        "a singular Gauss-Newton matrix",
        tested_by=(
            "test_damping_makes_actions_that_cost_nothing_solvable",
            "test_newton_uses_the_exact_hessian_with_absolute_eigenvalues",
        ),
    ),
    Fault(
        42, "a line search without success", tested_by=("test_it_never_ends_worse_or_broken_or_beyond_the_limits",)
    ),
    Fault(43, "float32 too coarse", tested_by=("test_single_precision_follows_double_precision",)),
    Fault(
        44, "a wrong start of BDF2", tested_by=("test_is_two_from_the_first_step_thanks_to_the_initial_acceleration",)
    ),
    Fault(
        45,
        "a wrong gradient",
        tested_by=("test_the_linearization_of_a_step_is_that_of_differences",),
    ),
    Fault(46, "causality", tested_by=("test_sensitivities_are_causal_and_the_last_action_moves_the_last_state",)),
    Fault(
        47, "the same seed, twice", tested_by=("test_the_same_seed_gives_the_same_training_and_another_one_another",)
    ),
    Fault(
        48,
        "batches and chunks",
        tested_by=("test_a_batch_gives_what_each_rollout_gives_alone_and_a_nan_stays_in_its_lane",),
    ),
    Fault(
        49,
        "one device or four",
        tested_by=("test_any_number_of_devices_gives_the_same_bits_and_goes_on_with_those_of_another",),
    ),
    Fault(50, "compiling again", tested_by=("test_the_epoch_is_traced_once_whatever_the_number_of_epochs",)),
    Fault(51, "out of memory", tested_by=("test_too_little_memory_names_the_settings",)),
    Fault(
        52,
        "a key used twice",
        tested_by=(
            "test_no_key_is_used_twice",
            "test_held_out_states_are_not_what_training_draws",
        ),
    ),
    Fault(53, "physics", tested_by=("test_free_fall_is_exact", "test_hanging_at_rest_is_a_fixed_point")),
    Fault(54, "learning", tested_by=("test_the_policy_gets_better",)),
    Fault(55, "a damaged policy.safetensors", tested_by=("test_damage_anywhere_is_refused",)),
    Fault(56, "a damaged policy.stablehlo", tested_by=("test_damage_anywhere_is_refused",)),
    Fault(57, "an exported policy called wrongly", tested_by=("test_a_reloaded_policy_is_the_same_function",)),
    Fault(58, "a notebook that fails midway", reason="every notebook is executed as a whole by `make test-all`"),
    Fault(
        59,
        "a viewer given NaN or markup",
        tested_by=(
            "test_what_cannot_be_shown_is_refused",
            "test_the_page_needs_nothing_else_and_no_label_breaks_it",
        ),
    ),
    Fault(60, "numbers that JSON cannot hold", tested_by=("test_what_is_not_finite_becomes_null_and_is_named",)),
    # What enters the public functions and the adapters, in other shapes, types and kinds.
    Fault(
        121,
        "an action of one number for three axes, through Gymnasium and its vectors",
        tested_by=("test_actions_are_checked_before_they_are_scaled",),
    ),
    Fault(
        122,
        "the same through Brax's interface, also while traced",
        tested_by=("test_actions_are_checked_before_brax_scales_them",),
    ),
    Fault(
        123,
        "actions beyond the limits, 1e30 and infinity, as lists and whole numbers",
        tested_by=("test_what_is_beyond_the_limit_counts_as_the_limit_in_any_type",),
    ),
    Fault(
        124,
        "the same, and NaN, through Brax's interface",
        tested_by=("test_beyond_the_limit_is_the_limit_and_nan_stays_visible",),
    ),
    Fault(
        125,
        "NaN in an action, and a finite reward after it",
        tested_by=("test_nan_in_an_action_stays_visible_in_all_later_rewards",),
    ),
    Fault(
        126, "random keys of the old kind and of other implementations", tested_by=("test_one_rule_for_random_keys",)
    ),
    Fault(127, "training from a key of the old kind", tested_by=("test_training_takes_keys_of_the_old_kind",)),
    Fault(
        128,
        "training from a key of another implementation, and going on with it",
        tested_by=("test_training_takes_keys_of_any_implementation_and_goes_on_with_them",),
    ),
    Fault(129, "the train state of something else", tested_by=("test_the_train_state_of_something_else_is_refused",)),
    Fault(
        130,
        "keys and large numbers in the states of gymnax",
        tested_by=("test_keys_and_large_numbers_are_carried_untouched",),
    ),
    Fault(
        131,
        "keys, counters and flags in the states of an own step",
        tested_by=("test_keys_and_large_numbers_of_own_steps_are_carried_untouched",),
    ),
    Fault(132, "training on such states", tested_by=("test_algorithms_train_on_states_with_keys_and_counters",)),
    Fault(
        133,
        "whole numbers that single precision cannot hold, in a state as a vector",
        tested_by=("test_whole_numbers_and_flags_come_back_exactly",),
    ),
    Fault(
        134,
        "what Brax carries beside its physics",
        tested_by=("test_what_brax_carries_beside_its_physics_is_carried",),
    ),
    Fault(
        135,
        "actions as lists, whole numbers, half and other precisions",
        tested_by=("test_actions_of_any_number_type_are_those_of_the_environment",),
    ),
    Fault(136, "improving lists and whole numbers", tested_by=("test_improvement_takes_lists_and_whole_numbers",)),
    Fault(
        137,
        "states and a policy's actions of other types",
        tested_by=("test_states_of_other_types_are_those_of_the_environment",),
    ),
    Fault(
        138,
        "double precision that is switched on later",
        tested_by=("test_double_precision_that_is_switched_on_later_leaves_an_environment_as_it_is",),
    ),
    Fault(
        139,
        "no actions at all, and actions that are no numbers",
        tested_by=("test_what_are_no_actions_is_refused_by_every_verb",),
    ),
    Fault(140, "a damping below zero, or NaN", tested_by=("test_a_damping_that_is_none_is_refused",)),
    Fault(
        141,
        "the same while traced",
        tested_by=("test_a_damping_that_is_none_while_traced_gives_no_step_and_a_nan_slope",),
    ),
    Fault(
        142,
        "trajectories of another number than the states",
        tested_by=("test_trajectories_of_another_count_are_refused",),
    ),
    Fault(
        143,
        "rewards that are whole numbers or flags",
        tested_by=("test_rewards_that_are_whole_or_flags_are_numbers",),
    ),
    Fault(144, "a policy without hidden layers", tested_by=("test_a_linear_policy_is_a_policy",)),
    Fault(
        145, "NumPy's whole numbers in settings", tested_by=("test_numpys_whole_numbers_become_pythons_in_settings",)
    ),
    Fault(146, "seeds of NumPy for Gymnasium, and what is none", tested_by=("test_seeds_of_numpy_are_seeds",)),
    Fault(
        147,
        "AsyncVectorEnv by fork, which waited for ever",
        tested_by=("test_a_forked_process_says_what_to_do_instead_of_waiting_for_ever",),
    ),
    Fault(
        148,
        "Brax's automatic reset: one start for all copies?",
        tested_by=("test_a_reset_by_brax_leads_each_copy_back_to_a_start_of_its_own",),
    ),
    Fault(149, "Gymnasium's own checker", tested_by=("test_gymnasiums_checker_is_content",)),
    Fault(150, "Stable-Baselines3's own checker", tested_by=("test_stable_baselines_checker_is_content",)),
    Fault(
        151, "an object of another interface for gymnax", tested_by=("test_what_has_another_interface_is_refused",)
    ),
    Fault(
        152,
        "wrong arguments of public functions, seventeen for each",
        tested_by=("test_no_wrong_argument_ends_in_another_error",),
    ),
    Fault(
        153,
        "an object for every argument of every public function",
        tested_by=("test_what_has_no_sensible_type_is_refused_for_every_argument",),
    ),
    Fault(154, "a new public function that nobody tried so", tested_by=("test_every_public_function_is_tried",)),
    Fault(
        155,
        "a missing description of a policy file called damaged",
        tested_by=("test_a_missing_description_is_called_missing",),
    ),
    Fault(
        156,
        "another default of random keys, rbg: training, held-out states, resuming",
        tested_by=("test_another_default_of_random_keys_changes_no_promise",),
    ),
    Fault(157, "a key used twice, by jax's own account", tested_by=("test_jax_finds_no_key_that_is_used_twice",)),
    # Files, commands and pictures.
    Fault(
        161,
        "a refused export in the place of a good policy",
        tested_by=("test_a_refused_export_leaves_the_good_files_as_they_were",),
    ),
    Fault(
        162,
        "a disk that fills during an export",
        tested_by=("test_a_disk_that_fills_during_an_export_leaves_the_good_files",),
    ),
    Fault(
        163,
        "files that are written half",
        tested_by=(
            "test_whatever_happens_meanwhile_leaves_all_of_them_as_they_were",
            "test_text_has_an_encoding_json_no_nan_and_files_are_written_completely",
        ),
    ),
    Fault(
        164,
        "a page in the place of a folder",
        ("render", "--workdir={run}", "--out={run}/taken.html", "--num_rollouts=1"),
        "taken.html could not be written: it is a folder",
        5,
        "folder_of_a_page",
    ),
    Fault(165, "a figure without an ending", ("plot", "--workdir={run}", "--out={new}"), "must name a file that", 2),
    Fault(
        166,
        "the reader of standard output goes away",
        tested_by=(
            "test_a_training_goes_on_when_its_reader_goes_away",
            "test_a_command_has_the_status_of_its_work_whoever_reads",
        ),
    ),
    Fault(
        167,
        "a terminal that is closed",
        tested_by=("test_a_closed_terminal_is_as_good_as_a_closed_pipe_and_a_full_disk_is_not",),
    ),
    Fault(
        168,
        "time steps of seconds and of milliseconds in pictures",
        tested_by=(
            "test_a_gif_lasts_as_long_as_its_rollout",
            "test_pictures_are_shown_as_often_as_there_are_steps",
        ),
    ),
    Fault(
        169,
        "motions too quick or too slow for a GIF",
        tested_by=("test_the_speed_is_that_of_the_motion_or_a_power_of_ten_of_it",),
    ),
    Fault(
        170,
        "a default that nobody set, above what there is",
        ("plot", "--workdir={run}", "--kind=phase", "--out={new}.png"),
        "drawn in .*new.png",
        0,
    ),
    Fault(
        171,
        "more rollouts in a page than there are",
        ("render", "--workdir={run}", "--out={new}.html", "--num_rollouts=5"),
        "num_rollouts = 5: must be a whole number, at least 1 and at most 4",
        2,
    ),
    Fault(
        172,
        "runs of one seed or of other lengths as one line",
        tested_by=("test_runs_are_told_apart_by_what_differs",),
    ),
    Fault(
        173,
        "notes of a policy that JSON cannot hold",
        tested_by=("test_a_refused_export_leaves_the_good_files_as_they_were",),
    ),
    Fault(174, "units of actions", tested_by=("test_actions_have_the_units_of_what_they_drive",)),
    Fault(
        175,
        "pictures of no frame, of NaN, and of another environment",
        tested_by=("test_no_frame_nan_frames_and_states_of_another_environment_are_refused",),
    ),
    Fault(
        176,
        "pages of no step, of NaN, and of another environment",
        tested_by=("test_what_cannot_be_shown_is_refused",),
    ),
    Fault(
        177,
        "letters that the locale does not know",
        ("--workdir={new}/l\udcc3\udca4uft", *QUICK),
        "has letters that this locale does not know",
        2,
        tested_by=("test_a_folder_that_is_not_ascii_works_or_is_refused_at_once",),
    ),
    Fault(
        178,
        "a kill or an end off the grid of evaluations",
        tested_by=(
            "test_a_run_that_stopped_off_the_grid_of_its_evaluations_comes_back_to_it",
            "test_a_kill_off_the_grid_loses_nothing_that_was_saved",
        ),
    ),
    Fault(
        179,
        "two devices, then one, then three",
        tested_by=("test_two_devices_then_one_then_three_give_the_bits_of_one",),
    ),
    Fault(
        180,
        "two runs that share a cache, which then cannot be written",
        tested_by=("test_a_cache_that_is_shared_damaged_or_cannot_be_written_changes_nothing",),
    ),
    Fault(
        181,
        "a cache of another processor",
        tested_by=("test_programs_are_kept_apart_for_processors_that_differ",),
    ),
    Fault(182, "a clock that jumps back", tested_by=("test_a_clock_that_jumps_back_changes_nothing",)),
    Fault(
        183,
        "two files of events that begin in one second",
        tested_by=("test_another_attempt_within_the_same_second_keeps_the_events_of_the_first",),
    ),
    Fault(
        184,
        "policies of every algorithm in double precision",
        tested_by=("test_a_policy_is_the_same_function_for_one_and_for_seven_observations",),
    ),
    Fault(185, "a policy file of a newer version", tested_by=("test_another_version_or_environment_is_refused",)),
    Fault(
        186,
        "a notebook that is interrupted",
        tested_by=("test_a_notebook_that_is_interrupted_while_it_trains_goes_on",),
    ),
    Fault(187, "a flag file that is missing", (*NEW, "--flagfile={new}.txt"), "Unable to open flagfile", 2),
    Fault(
        188,
        "a flag file with overrides",
        tested_by=(
            "test_a_flag_file_holds_overrides",
            "test_the_configuration_of_a_flag_file_takes_the_place_of_the_default",
            "test_a_flag_file_that_is_missing_or_mistaken_is_one_line",
        ),
    ),
    Fault(189, "a training that collapses", tested_by=("test_it_is_the_last_line_of_the_command",)),
    # Derivatives and environments of others.
    Fault(
        191,
        "a kink of the reward read as an optimum",
        tested_by=(
            "test_a_derivative_that_is_not_finite_is_no_optimum",
            "test_a_search_fails_where_derivatives_are_not_finite",
        ),
    ),
    Fault(192, "an optimum and a gap from searches that failed", tested_by=("test_searches_that_fail_are_counted",)),
    Fault(
        193,
        "a residual or reward without a derivative where searches start",
        tested_by=("test_what_cannot_be_used_is_refused_with_the_cure",),
    ),
    Fault(
        194,
        "the same, put in by with_reward",
        tested_by=("test_a_reward_that_was_put_in_is_tried_by_who_differentiates_it",),
    ),
    Fault(
        195,
        "a gradient of the policy that is not finite, silently",
        tested_by=("test_a_gradient_that_is_not_finite_changes_nothing_but_the_count",),
    ),
    Fault(
        196,
        "an actuator that pushes or pulls only",
        tested_by=("test_an_actuator_that_acts_in_a_part_of_its_range_is_accepted",),
    ),
    Fault(
        197,
        "an actuator with a dead zone",
        tested_by=("test_an_actuator_that_acts_in_a_part_of_its_range_is_accepted",),
    ),
    Fault(
        198,
        "what only a few states cannot differentiate",
        tested_by=("test_what_a_few_states_meet_is_left_to_the_numbers",),
    ),
    Fault(
        199,
        "measure returns no dictionary of numbers",
        tested_by=("test_what_cannot_be_used_is_refused_with_the_cure",),
    ),
    Fault(
        200,
        "measure or draw replaced by what cannot be used",
        tested_by=("test_what_was_replaced_is_tried_before_anything_is_searched",),
    ),
    Fault(
        201,
        "a policy made for another environment, after the whole search",
        tested_by=("test_a_policy_that_was_made_for_another_environment_is_refused_before_the_search",),
    ),
    Fault(
        202,
        "a method of first order where there is no reverse mode",
        tested_by=("test_a_step_without_reverse_mode_is_refused_by_name",),
    ),
    Fault(
        203,
        "MJX: a feature that it does not have",
        tested_by=("test_what_would_change_nothing_or_cannot_be_is_refused",),
    ),
    Fault(204, "MJX: limits beyond ctrlrange", tested_by=("test_what_would_change_nothing_or_cannot_be_is_refused",)),
    Fault(205, "MJX: a reset of another shape", tested_by=("test_a_reset_that_is_not_of_the_model_is_refused",)),
    Fault(
        206,
        "MJX: a quaternion that is not normalised",
        tested_by=(
            "test_a_reset_that_is_not_of_the_model_is_refused",
            "test_noise_leaves_quaternions_at_length_one",
        ),
    ),
    Fault(207, "jax_disable_jit and strict promotion", tested_by=("test_a_rollout_an_improvement_and_an_epoch_run",)),
    Fault(
        208, "legs that cannot carry the weight", tested_by=("test_a_leg_that_cannot_carry_the_weight_is_refused",)
    ),
    Fault(
        107,
        "physical parameters that are traced",
        tested_by=("test_many_are_built_at_once", "test_a_return_is_differentiated_by_a_parameter"),
    ),
    Fault(
        108,
        "an equilibrium of former parameters",
        tested_by=("test_a_network_of_other_parameters_hangs_where_nothing_pulls_on_it",),
    ),
    Fault(
        209,
        "springs damped far beyond critical",
        tested_by=(
            "test_springs_damped_far_beyond_critical_are_solved",
            "test_hardly_a_random_step_is_unsolved_and_no_wrong_one_passes",
        ),
    ),
    Fault(
        210,
        "steps solved to rounding that count as unsolved",
        tested_by=(
            "test_steps_are_solved_and_wrong_ones_are_told_from_them",
            "test_at_rest_without_any_force_the_error_is_zero",
        ),
    ),
    Fault(
        211,
        "a point thrown straight through its handle",
        tested_by=("test_a_point_thrown_straight_through_its_handle_is_solved",),
    ),
    Fault(
        212,
        "masses of very different size",
        tested_by=("test_masses_of_very_different_size_are_solved",),
    ),
    Fault(
        213,
        "damping and the sag over long rollouts",
        tested_by=("test_a_damped_load_sags_by_weight_over_stiffness_in_the_end",),
    ),
    Fault(
        214,
        "an energy judged without its sign",
        tested_by=("test_an_energy_of_the_wrong_sign_is_found_whichever_way_it_goes",),
    ),
    Fault(
        215,
        "derivatives of a step nested four times",
        tested_by=("test_four_nested_derivatives_are_those_of_an_unrolled_iteration",),
    ),
    # And what is in no list, but in the promises.
    Fault(0, "an empty config.json", RUN, "config.json cannot be read", 3, "empty_config"),
    Fault(
        0, "a binary config.json", ("evaluate", "--workdir={run}"), "config.json cannot be read", 3, "binary_config"
    ),
    Fault(0, "a huge config.json", ("evaluate", "--workdir={run}"), "larger than 1048576 bytes", 3, "huge_config"),
    Fault(0, "checkpoints without a config.json", RUN, "there is no config.json in it", 3, "no_config"),
    Fault(0, "linked checkpoints", RUN, "checkpoints is a link, which could lead anywhere", 2, "link_checkpoints"),
    Fault(0, "a folder of something else", ("--workdir={run}/..", *QUICK), "and no config.json of a run", 2),
    Fault(0, "--resume=never on a run", (*RUN, "--resume=never"), "holds a run of 2 epochs; name another folder", 2),
    Fault(0, "--resume=must on nothing", (*NEW, "--resume=must"), "holds no checkpoint, and --resume=must asks", 3),
    Fault(
        0, "--resume=perhaps", (*NEW, "--resume=perhaps"), "resume = 'perhaps': must be one of auto, never, must", 2
    ),
    Fault(0, "no such checkpoint", ("evaluate", "--workdir={run}", "--checkpoint=7"), "there are 1, 2", 3),
    Fault(0, "no checkpoint's name", ("render", "--workdir={run}", "--checkpoint=x"), "must be latest, best or", 2),
    Fault(0, "the best checkpoint", ("evaluate", "--workdir={run}", "--checkpoint=best"), '"epoch": 2', 0),
    Fault(0, "an earlier checkpoint", ("evaluate", "--workdir={run}", "--checkpoint=1"), '"epoch": 1', 0),
    Fault(0, "a dry run", (*NEW, "--dry_run"), "nothing was written", 0),
    Fault(0, "a dry run on too many devices", (*NEW, "--dry_run", "--num_devices=1000"), "num_devices = 1000", 2),
    Fault(0, "a dry run of mistakes", (*NEW, "--dry_run", "--config.env.horizon=0"), "config.env.horizon = 0", 2),
    Fault(0, "a sick environment's name", ("doctor", "--env=pendulm_2d"), "did you mean 'pendulum_2d'", 2),
)


def flip_numbers_of_latest(run):
    (path,) = (run / "checkpoints" / "2" / "state" / "d").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty_all(run):
    for epoch in checkpoints.epochs(run / "checkpoints"):
        (run / "checkpoints" / str(epoch) / "state" / "manifest.ocdbt").write_bytes(b"")


def newer_format(run):
    path = run / "checkpoints" / "2" / "record" / "metadata"
    record = checksums.unseal(json.loads(path.read_text()))
    path.write_text(json.dumps(checksums.seal(record | {"format_version": 99})))


def empty_config(run):
    (run / "config.json").write_bytes(b"")


def binary_config(run):
    (run / "config.json").write_bytes(bytes(range(256)))


def huge_config(run):
    (run / "config.json").write_bytes(b" " * (2**20 + 1))


def no_config(run):
    (run / "config.json").unlink()


def folder_of_a_page(run):
    (run / "taken.html").mkdir()


def link_checkpoints(run):
    (run / "checkpoints").rename(run.parent / "elsewhere")
    (run / "checkpoints").symlink_to(run.parent / "elsewhere")


DAMAGES = (
    flip_numbers_of_latest,
    empty_all,
    newer_format,
    empty_config,
    binary_config,
    huge_config,
    no_config,
    link_checkpoints,
    folder_of_a_page,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a run of two epochs, to be copied."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        toy.install()
        assert MAIN["train"](["train.py", f"--workdir={folder}", *QUICK, "--config.evaluate_every=1"]) == 0
        toy.uninstall()
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.arguments], ids=lambda fault: f"{fault.number}-{fault.what}"
)
def test_a_fault_has_its_message_and_status(fault, finished, tmp_path, monkeypatch, install_toy, capsys):
    monkeypatch.chdir(ROOT)
    if fault.arguments[: len(NEW)] != NEW or "--dry_run" in fault.arguments:  # else the mistakes of PODS' settings
        install_toy()
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for damage in DAMAGES:
        if damage.__name__ == fault.damage:
            damage(run)
    before = contents(tmp_path)
    name, *rest = fault.arguments if fault.arguments[0] in MAIN else ("train", *fault.arguments)
    arguments = [argument.format(run=run, new=tmp_path / "new") for argument in rest]
    status = MAIN[name]([f"{name}.py", *arguments])
    written = capsys.readouterr()
    assert status == fault.status, written.err
    assert re.search(fault.message, written.err if status else written.out)
    assert "Traceback" not in written.err
    if status:
        after = {path: content for path, content in contents(tmp_path).items() if path.name != ".lock"}
        assert after == {path: content for path, content in before.items() if path.name != ".lock"}
    if status or "--dry_run" in rest:
        assert not (tmp_path / "new").exists()


def test_all_sixty_faults_are_in_the_table_and_tested_or_explained():
    assert {fault.number for fault in FAULTS} >= set(range(61))
    assert set(range(61)) <= {fault.number for fault in FAULTS}
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    for fault in FAULTS:
        assert bool(fault.arguments or fault.tested_by) != bool(fault.reason), fault
        assert {*fault.tested_by} <= tests, fault
        assert fault.damage in {"", *(damage.__name__ for damage in DAMAGES)}


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", pytest.param("nonsense", marks=pytest.mark.exhaustive)])
def test_a_missing_plug_in_is_named(platform, tmp_path):
    arguments = ["scripts/train.py", "--config=configs/pods.py", f"--workdir={tmp_path / 'run'}"]
    options = {"capture_output": True, "text": True, "cwd": ROOT, "timeout": 60}
    done = subprocess.run([sys.executable, *arguments], env=os.environ | {"JAX_PLATFORMS": platform}, **options)
    assert done.returncode == 2, done.stderr
    assert re.match(rf"error: JAX_PLATFORMS = '{platform}': .*; install pods_jax\[cuda12\]", done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
