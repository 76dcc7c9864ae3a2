"""The museum of bugs: tinyddpm with one line wrong, and the law that catches each.

seen: where the bug was really made by other people, as reported in the thread or read in the code
that is named; the wrong line is our own version of it, in our own code.  "ours": nobody else's, but
easily made.  An exhibit is caught by the law it names, and often by others, too:
`demos/kill_matrix.py` shows which.
"""
from loader import Exhibit

EXHIBITS = [
    # Really made.
    Exhibit(
        "previous_padded_on_the_wrong_side", "schedule.py",
        right=("alpha_bar_prev = np.append(1.0, self.alpha_bar[:-1])\n"
               "one_minus_prev = np.append(0.0, self.one_minus_alpha_bar[:-1])"),
        wrong=("alpha_bar_prev = np.append(self.alpha_bar[1:], 1.0)\n"
               "one_minus_prev = np.append(self.one_minus_alpha_bar[1:], 0.0)"),
        law="test_posterior_is_bayes_rule",
        seen="lucidrains/denoising-diffusion-pytorch#18",
        lesson="A table shifted by one in the wrong direction still has the right length."),
    Exhibit(
        "alpha_bar_0_is_alpha_bar_1", "schedule.py",
        right=("alpha_bar_prev = np.append(1.0, self.alpha_bar[:-1])\n"
               "one_minus_prev = np.append(0.0, self.one_minus_alpha_bar[:-1])"),
        wrong=("alpha_bar_prev = self.alpha_bar[[0, 1, *range(1, self.T)]]\n"
               "one_minus_prev = self.one_minus_alpha_bar[[0, 1, *range(1, self.T)]]"),
        law="test_posterior_at_the_first_step_is_x_0",
        seen="Michedev/DDPMs-Pytorch, linear schedule",
        lesson="Then β̃_1 = β_1 instead of 0: the last step no longer uses that x_0 has no noise."),
    Exhibit(
        "alpha_bar_0_wraps_to_alpha_bar_T", "schedule.py",
        right=("alpha_bar_prev = np.append(1.0, self.alpha_bar[:-1])\n"
               "one_minus_prev = np.append(0.0, self.one_minus_alpha_bar[:-1])"),
        wrong=("alpha_bar_prev = self.alpha_bar[[0, -1, *range(1, self.T)]]\n"
               "one_minus_prev = self.one_minus_alpha_bar[[0, -1, *range(1, self.T)]]"),
        law="test_posterior_at_the_first_step_is_x_0",
        seen="Michedev/DDPMs-Pytorch, distributions",
        lesson="In Python the index −1 raises no error: it is the last entry."),
    Exhibit(
        "sampler_stops_one_step_early", "sampling.py",
        right="range(int(schedule.check_t(start)), 0, -1)",
        wrong="range(int(schedule.check_t(start)), 1, -1)",
        law="test_every_time_is_visited_once",
        seen="cloneofsimo/minDiffusion, TeaPearce/Conditional_Diffusion_MNIST",
        lesson="The noise of β_1 stays in every sample, too little to be seen in a picture."),
    Exhibit(
        "cosine_not_rebuilt_after_clipping", "schedule.py",
        right="return Schedule(np.minimum(beta, beta_max))",
        wrong=("made = Schedule(np.minimum(beta, beta_max))\n"
               "made.alpha_bar = (np.cos(angle) / np.cos(angle[0])) ** 2\n"
               "return made"),
        law="test_cosine_schedule",
        seen="Project-MONAI/GenerativeModels#489",
        lesson="ᾱ_T must follow from the clipped β_T; here the two tables are computed apart."),
    Exhibit(
        "cosine_not_squared", "schedule.py",
        right="np.sin(b - a) * np.sin(b + a) / np.cos(a) ** 2",
        wrong="1 - np.cos(b) / np.cos(a)",
        law="test_cosine_schedule",
        seen="lilianweng/lilianweng.github.io#9",
        lesson="ᾱ still falls from 1 to 0, so that a plot looks right."),
    Exhibit(
        "linear_not_scaled_with_T", "schedule.py",
        right="1000 / T if scaled else 1",
        wrong="1",
        law="test_linear_schedule_is_linear_and_ends_in_noise",
        seen="tanelp/tiny-diffusion#4",
        lesson="At T = 50, ᾱ_T = 0.603: sampling starts from noise that training never saw."),
    Exhibit(
        "scaled_beta_of_one_and_more", "schedule.py",
        right="~((beta > 0) & (beta < 1))",
        wrong="beta <= 0",
        law="test_linear_schedule_refuses_what_it_cannot_do",
        seen="lucidrains/imagen-pytorch#161, openai/guided-diffusion#137",
        lesson="A NaN made in a table shows only in the samples, a thousand steps later."),
    Exhibit(
        "tables_in_float32", "schedule.py",
        right="-np.expm1(self.log_alpha_bar)",
        wrong="1 - np.exp(self.log_alpha_bar).astype(np.float32)",
        law="test_one_minus_alpha_bar_does_not_cancel",
        seen="seen often",
        lesson="1 − ᾱ_t cancels near t = 1, where the reverse process divides by it."),
    Exhibit(
        "uniform_noise", "gaussian.py",
        right="rng.standard_normal(x.shape, x.dtype)",
        wrong="rng.random(x.shape, x.dtype)",
        law="test_noise_is_independent_and_normal",
        seen="acids-ircam/diffusion_models#8",
        lesson="The names rand and randn differ by one letter."),
    Exhibit(
        "noise_scaled_by_beta", "forward.py",
        right="cast_like(x_prev, anp.sqrt(at.alpha), at.beta)",
        wrong="cast_like(x_prev, anp.sqrt(at.alpha), at.beta ** 2)",
        law="test_marginal_is_the_composition_of_steps",
        seen="acids-ircam/diffusion_models#1",
        lesson="β_t is a variance: a draw multiplies the noise by its square root."),
    Exhibit(
        "alpha_for_alpha_bar", "forward.py",
        right="cast_like(x_0, anp.sqrt(at.alpha_bar), at.one_minus_alpha_bar)",
        wrong="cast_like(x_0, anp.sqrt(at.alpha), at.one_minus_alpha_bar)",
        law="test_marginal_is_the_composition_of_steps",
        seen="labmlai/annotated_deep_learning_paper_implementations#152",
        lesson="The bar of ᾱ_t, easily overlooked, means the product of all α up to t."),
    Exhibit(
        "one_t_for_the_batch", "training.py",
        right="rng.integers(1, T, size=n, endpoint=True)",
        wrong="np.full(n, rng.integers(1, T, endpoint=True))",
        law="test_times_are_uniform_and_one_for_each_item",
        seen="seen often",
        lesson="Each t is still uniform; only the noise of the gradient grows."),
    Exhibit(
        "one_noise_for_the_batch", "gaussian.py",
        right="rng.standard_normal(x.shape, x.dtype)",
        wrong="np.broadcast_to(rng.standard_normal(x.shape[1:], x.dtype), x.shape).copy()",
        law="test_noise_is_independent_and_normal",
        seen="seen often",
        lesson="Each item alone has the right distribution; together they share one noise."),
    Exhibit(
        "broadcast_along_the_wrong_axis", "schedule.py",
        right="t.reshape(t.shape + (1,) * (x.ndim - 1))",
        wrong="t.reshape((1,) * (x.ndim - 1) + t.shape)",
        law="test_a_batch_is_its_items",
        seen="jolibrain/joliGEN PR#527",
        lesson="No error is raised if the batch is as large as the last axis."),
    Exhibit(
        "posterior_variance_not_divided", "schedule.py",
        right="self.beta * one_minus_prev / divisor",
        wrong="self.beta * one_minus_prev",
        law="test_posterior_weights",
        seen="varun-ml/diffusion-models-tutorial PR#1",
        lesson="Near t = T the divisor is 1, and the error is not seen."),
    Exhibit(
        "beta_for_beta_tilde", "forward.py",
        right="cast_like(x_t, at.coef_x_0, at.coef_x_t, at.beta_tilde)",
        wrong="cast_like(x_t, at.coef_x_0, at.coef_x_t, at.beta)",
        law="test_posterior_is_bayes_rule",
        seen="jhbastek/PhysicsInformedDiffusionModels#4",
        lesson="Both are variances of one step, but only β̃_t is the one for known x_0."),
    Exhibit(
        "posterior_forgets_root_alpha", "schedule.py",
        right="np.sqrt(self.alpha) * one_minus_prev / divisor",
        wrong="one_minus_prev / divisor",
        law="test_posterior_weights",
        seen="seen often",
        lesson="If p_θ takes its mean from the same table, the error cancels in every KL."),
    Exhibit(
        "clipped_after_the_mean", "reverse.py",
        right="eps = eps_from_x_0(schedule, x_t, t, x_0)",
        wrong="pass",
        law="test_clipping_comes_before_the_mean",
        seen="w86763777/pytorch-ddpm",
        lesson="The mean is computed from ε̂, and so the clipped x̂_0 is never used."),
    Exhibit(
        "v_with_the_wrong_sign", "reverse.py",
        right="(eps - noise * x_t) / signal",
        wrong="(noise * x_t - eps) / signal",
        law="test_v_is_a_rotation",
        seen="seen often",
        lesson=("A network learns −v as well as v; the error shows only with weights trained "
                "elsewhere.")),
    Exhibit(
        "noise_at_the_last_step", "sampling.py",
        right="p.sample(noise_like(rng, x)) if t > 1 else p.mean",
        wrong="p.sample(noise_like(rng, x))",
        law="test_the_last_step_adds_no_noise",
        seen="labml ddpm; TeaPearce/Conditional_Diffusion_MNIST#10",
        lesson="With σ_1² = β̃_1 = 0 it changes nothing; it shows with σ_1² = β_1."),
    Exhibit(
        "root_of_a_log_variance", "sampling.py",
        right="p.sample(noise_like(rng, x)) if t > 1 else p.mean",
        wrong="p.mean + np.sqrt(abs(np.log(p.var))) * noise_like(rng, x) if t > 1 else p.mean",
        law="test_the_gain_of_the_noise_is_the_standard_deviation",
        seen="huggingface/diffusers#14569",
        lesson="A variable that holds a log-variance should have log in its name."),
    Exhibit(
        "variance_used_as_deviation", "sampling.py",
        right="p.sample(noise_like(rng, x)) if t > 1 else p.mean",
        wrong="p.mean + p.var * noise_like(rng, x) if t > 1 else p.mean",
        law="test_the_gain_of_the_noise_is_the_standard_deviation",
        seen="Michedev/DDPMs-Pytorch",
        lesson="The samples are too smooth, which looks like an improvement."),
    Exhibit(
        "ddim_direction_reversed", "sampling.py",
        right="signal * x_0 + noise * eps",
        wrong="signal * x_0 - noise * eps",
        law="test_ddim_keeps_the_marginal",
        seen="AkiRusProd/numpy-diffusion",
        lesson=("The squares still add up to 1 − ᾱ_s: the sign of the coefficient is checked "
                "separately.")),
    Exhibit(
        "ddim_eta_not_squared", "sampling.py",
        right="eta ** 2 * om_s / om_t * one_minus_ratio",
        wrong="eta * om_s / om_t * one_minus_ratio",
        law="test_ddim_keeps_the_marginal",
        seen="inbarhub/DDPM_inversion#12",
        lesson="It is right at η = 0 and η = 1, the only two values that are usually tried."),
    Exhibit(
        "ddim_ends_at_alpha_bar_1", "sampling.py",
        right="schedule.coefficients_at(s, x_t, lowest=0)",
        wrong="schedule.coefficients_at(np.maximum(s, 1), x_t, lowest=0)",
        law="test_ddim_keeps_the_marginal",
        seen="CompVis/latent-diffusion#136",
        lesson="The last step goes to s = 0, where ᾱ is 1."),
    Exhibit(
        "denoised_from_the_step_before", "sampling.py",
        right="schedule.T if start is None else start",
        wrong="schedule.T if start is None else start - 1",
        law="test_noised_to_t_takes_t_steps_back",
        seen="lucidrains, labml (interpolation)",
        lesson="An input noised to t is x_t, and the denoiser must be given t."),
    Exhibit(
        "t_never_reaches_T", "training.py",
        right="rng.integers(1, T, size=n, endpoint=True)",
        wrong="rng.integers(1, T, size=n)",
        law="test_times_are_uniform_and_one_for_each_item",
        seen="cloneofsimo/minDiffusion superminddpm",
        lesson="The upper end of a range is not included."),
    Exhibit(
        "t_1_never_trained", "training.py",
        right="rng.integers(1, T, size=n, endpoint=True)",
        wrong="rng.integers(2, T, size=n, endpoint=True)",
        law="test_times_are_uniform_and_one_for_each_item",
        seen="AkiRusProd/numpy-diffusion",
        lesson="The last step of the sampler evaluates the network at t = 1."),
    Exhibit(
        "kl_swapped", "gaussian.py",
        right="check_same_shape(mean=self.mean, other_mean=other.mean)",
        wrong="self, other = other, self",
        law="test_kl_has_a_direction",
        seen="seen often",
        lesson="KL(q ‖ p) differs from KL(p ‖ q), and both are positive."),
    Exhibit(
        "prior_term_with_deviation_for_variance", "elbo.py",
        right="return marginal(schedule, x_0, schedule.T).kl(standard_gaussian(x_0))",
        wrong=("q = marginal(schedule, x_0, schedule.T)\n"
               "return Gaussian(q.mean, q.var ** 0.5).kl(standard_gaussian(x_0))"),
        law="test_prior_term",
        seen="Michedev/DDPMs-Pytorch",
        lesson="1 − ᾱ_T is nearly 1, and so is its square root."),
    Exhibit(
        "last_kl_lost", "elbo.py", inside="ledger",
        right="range(1, T + 1)",
        wrong="range(1, T)",
        law="test_ledger_counts_every_term",
        seen="Michedev/DDPMs-Pytorch",
        lesson="L_T is a term beside L_{T−1}, and does not replace it."),
    Exhibit(
        "bits_without_log_2", "elbo.py",
        right="nats / (dimensions * np.log(2))",
        wrong="nats / dimensions",
        law="test_bits_per_dim",
        seen="seen often",
        lesson="A uniform guess at 256 levels must cost 8 bits."),
    Exhibit(
        "open_end_for_half_the_levels", "decoder.py",
        right="level == 0",
        wrong="level < 128",
        law="test_the_256_probabilities_sum_to_one",
        seen="Project-MONAI/GenerativeModels",
        lesson=("The threshold belongs to data of another range; the probabilities no longer "
                "sum to one.")),
    Exhibit(
        "tanh_for_phi", "decoder.py",
        right="from scipy.special import log_ndtr",
        wrong=("def log_ndtr(z):\n"
               "    phi = 0.5 * (1 + np.tanh(0.7978845608 * (z + 0.044715 * z ** 3)))\n"
               "    return np.log(np.maximum(phi, 1e-12))"),
        law="test_a_level_is_the_true_integral_over_its_bin",
        seen="openai/improved-diffusion and heirs",
        lesson=("At z = −4 it is wrong by 45 %, and it never falls below 1e-12, which is −27.6 "
                "nats.")),
    Exhibit(
        "variances_interpolated_not_logs", "reverse.py",
        right="anp.exp(log_var_fraction * log_largest + (1 - log_var_fraction) * log_smallest)",
        wrong=("log_var_fraction * anp.exp(log_largest) + (1 - log_var_fraction) * "
               "anp.exp(log_smallest)"),
        law="test_learned_variance_interpolates_logs",
        seen="huggingface/diffusers PR#2090",
        lesson="At the two ends both agree; in between they differ by a factor."),
    Exhibit(
        "density_without_log_sigma", "gaussian.py",
        right="LOG_2PI + anp.log(self.var) + (x - self.mean) ** 2 / self.var",
        wrong="LOG_2PI + (x - self.mean) ** 2 / self.var",
        law="test_the_density_integrates_to_one",
        seen="facebookresearch/DiT",
        lesson="Without log σ² the density does not integrate to one."),
    Exhibit(
        "embedding_frequencies_grow", "network/layers.py",
        right="-np.arange(pairs) / max(pairs - 1, 1)",
        wrong="np.arange(pairs) / max(pairs - 1, 1)",
        law="test_times_are_told_apart",
        seen="gmongaras/Diffusion_models_from_scratch",
        lesson="At t = 1000 an angle reaches 1e7 radians, so that neighbouring t look unrelated."),
    Exhibit(
        "embedding_along_the_batch", "network/layers.py",
        right="np.concatenate([np.sin(angles), np.cos(angles)], 1)",
        wrong="np.concatenate([np.sin(angles), np.cos(angles)], 0)",
        law="test_time_embedding",
        seen="gmongaras/Diffusion_models_from_scratch#10",
        lesson="Axis 0 is the batch."),
    Exhibit(
        "average_kept_and_not_used", "training.py",
        right="lerp(ema, weights, 1 - decay)",
        wrong="weights",
        law="test_ema_is_its_closed_form",
        seen="acids-ircam/diffusion_models#10",
        lesson="No error is raised; samples come from the weights that are not averaged."),
    # Written by us.
    Exhibit(
        "beta_summed_for_its_logarithm", "schedule.py",
        right="np.cumsum(np.log1p(-self.beta))",
        wrong="np.cumsum(-self.beta)",
        law="test_alpha_bar_is_the_product_of_alphas",
        seen="ours",
        lesson="log(1 − β) ≈ −β holds for small β only."),
    Exhibit(
        "first_entry_off_by_an_ulp", "schedule.py",
        right="self.one_minus_alpha_bar[1] = self.beta[1]",
        wrong="self.one_minus_alpha_bar[1] = -np.expm1(np.log1p(-self.beta[1])) * (1 + 4e-16)",
        law="test_posterior_at_the_first_step_is_x_0",
        seen="ours",
        lesson="At t = 1 the posterior's mean must be exactly x_0 and its variance exactly 0."),
    Exhibit(
        "linear_in_the_root", "schedule.py",
        right="np.linspace(beta_T, beta_1, T)[::-1] * factor",
        wrong="np.linspace(beta_T ** 0.5, beta_1 ** 0.5, T)[::-1] ** 2 * factor",
        law="test_linear_schedule_is_linear_and_ends_in_noise",
        seen="ours",
        lesson="This is a schedule that others use, but it is not called linear."),
    Exhibit(
        "cosine_without_its_offset", "schedule.py", inside="cosine",
        right="0.008",
        wrong="0.0",
        law="test_cosine_schedule",
        seen="ours",
        lesson="β_1 becomes 2e-6, a noise far below one grey level."),
    Exhibit(
        "snr_of_amplitudes", "schedule.py",
        right="self.log_alpha_bar - np.log(self.one_minus_alpha_bar)",
        wrong="0.5 * (self.log_alpha_bar - np.log(self.one_minus_alpha_bar))",
        law="test_signal_to_noise_only_falls",
        seen="ours",
        lesson="log SNR still falls, but it is half of what it should be."),
    Exhibit(
        "given_the_index", "schedule.py",
        right="return Schedule(-np.expm1(np.diff(log_alpha_bar, prepend=0.0))), times",
        wrong=("return Schedule(-np.expm1(np.diff(log_alpha_bar, prepend=0.0))), np.arange(1, "
               "len(times) + 1)"),
        law="test_respaced_chain_keeps_the_marginals",
        seen="ours",
        lesson=("The network was trained with t = 1…T; it needs τ_i, and not the number i of "
                "the step.")),
    Exhibit(
        "transition_from_the_start", "forward.py",
        right="schedule.coefficients_at(t, x_s).log_alpha_bar - log_alpha_bar_s",
        wrong="schedule.coefficients_at(t, x_s).log_alpha_bar",
        law="test_transitions_compose",
        seen="ours",
        lesson="From s to t only the steps between them count."),
    Exhibit(
        "input_scaled_in_place", "forward.py",
        right="return Gaussian(scale * x_0, var)",
        wrong=("x_0 *= scale\n"
               "return Gaussian(x_0, var)"),
        law="test_inputs_are_left_alone",
        seen="ours",
        lesson="In the second epoch the training data have changed."),
    Exhibit(
        "variance_not_spread_over_the_noise", "gaussian.py",
        right="self.mean + anp.sqrt(self.var) * eps",
        wrong="self.mean + self.var * eps",
        law="test_draw_is_the_marginal_with_its_noise_outside",
        seen="ours",
        lesson="A Gaussian is given by its variance and drawn with its standard deviation."),
    Exhibit(
        "x_0_not_divided", "reverse.py",
        right="(x_t - noise * eps) / signal",
        wrong="(x_t - noise * eps) * signal",
        law="test_round_trip_of_x_0",
        seen="ours",
        lesson="Near t = 1 the two agree."),
    Exhibit(
        "eps_divided_by_variance", "reverse.py",
        right="(x_t - signal * x_0) / noise",
        wrong="(x_t - signal * x_0) / noise ** 2",
        law="test_round_trip_of_x_0",
        seen="ours",
        lesson="At t = T the two agree."),
    Exhibit(
        "v_turned_the_other_way", "reverse.py",
        right="signal * v + noise * x_t",
        wrong="signal * v - noise * x_t",
        law="test_round_trip_of_v",
        seen="ours",
        lesson="A rotation and its inverse differ by one sign."),
    Exhibit(
        "score_taken_for_the_noise", "reverse.py",
        right="-noise * score",
        wrong="noise * score",
        law="test_round_trip_of_the_score",
        seen="ours",
        lesson="Guidance by a score with the wrong sign leads away from the data."),
    Exhibit(
        "score_towards_the_noise", "reverse.py",
        right="-eps / noise",
        wrong="eps / noise",
        law="test_score_is_the_gradient_of_the_marginal",
        seen="ours",
        lesson="The score points to higher density, and the noise led away from it."),
    Exhibit(
        "mean_not_rescaled", "reverse.py",
        right="(x_t - noise_share * eps) / scale",
        wrong="x_t - noise_share * eps",
        law="test_one_mean_from_all_four",
        seen="ours",
        lesson="After a thousand steps without 1/√α_t the samples have shrunk towards zero."),
    Exhibit(
        "share_without_the_root", "reverse.py",
        right="at.beta / anp.sqrt(at.one_minus_alpha_bar)",
        wrong="at.beta / at.one_minus_alpha_bar",
        law="test_one_mean_from_all_four",
        seen="ours",
        lesson="ε has variance 1, and the noise in x_t has variance 1 − ᾱ_t."),
    Exhibit(
        "beta_tilde_shifted", "reverse.py",
        right="np.concatenate([schedule.beta[:2], schedule.beta_tilde[2:]])",
        wrong="np.concatenate([schedule.beta[:2], schedule.beta_tilde[1:-1]])",
        law="test_the_gain_of_the_noise_is_the_standard_deviation",
        seen="ours",
        lesson=("β̃_{t−1} in the place of β̃_t: the difference is small at all but the first "
                "few t.")),
    Exhibit(
        "always_clipped", "reverse.py",
        right="x_0 = x_0_from_eps(schedule, x_t, t, eps)",
        wrong=("x_0 = x_0_from_eps(schedule, x_t, t, eps)\n"
               "clip = clip or (-1, 1)"),
        law="test_a_bound_out_of_reach_changes_nothing",
        seen="ours",
        lesson="It is right for images and wrong for all other data, and no error is raised."),
    Exhibit(
        "ddim_scaled_for_the_wrong_time", "sampling.py",
        right="cast_like(x_t, anp.sqrt(at_s.alpha_bar), anp.sqrt(var_of_eps), var)",
        wrong="cast_like(x_t, anp.sqrt(at_t.alpha_bar), anp.sqrt(var_of_eps), var)",
        law="test_ddim_keeps_the_marginal",
        seen="ours",
        lesson="The step ends at s, so x̂_0 is multiplied by √ᾱ_s."),
    Exhibit(
        "ddim_never_arrives", "sampling.py",
        right="zip(reversed(times), reversed(next_times))",
        wrong="zip(times[:0:-1], times[-2::-1])",
        law="test_ddim_converges",
        seen="ours",
        lesson="n times make n steps, and the last one leads to 0."),
    Exhibit(
        "the_same_noise_again", "sampling.py",
        right="p.sample(noise_like(rng, x)) if t > 1 else p.mean",
        wrong="p.sample(noise_like(np.random.default_rng(0), x)) if t > 1 else p.mean",
        law="test_noise_is_fresh_at_every_step",
        seen="ours",
        lesson="The generator is seeded inside the loop."),
    Exhibit(
        "kl_without_its_half", "gaussian.py",
        right="0.5 * sum_over_dimensions(terms)",
        wrong="sum_over_dimensions(terms)",
        law="test_kl_is_the_expected_log_ratio",
        seen="ours",
        lesson="It is still positive, and zero for equal distributions."),
    Exhibit(
        "kl_of_deviations", "gaussian.py",
        right="anp.log(self.var / other.var)",
        wrong="0.5 * anp.log(self.var / other.var)",
        law="test_kl_is_the_expected_log_ratio",
        seen="ours",
        lesson="log σ and log σ² are easily confused."),
    Exhibit(
        "kl_by_the_textbook", "gaussian.py",
        right="return 0.5 * sum_over_dimensions(terms)",
        wrong=("log_ratio = anp.log(other.var / self.var) / 2\n"
               "squares = (self.var + (self.mean - other.mean) ** 2) / (2 * other.var)\n"
               "return sum_over_dimensions(log_ratio + squares - 0.5)"),
        law="test_kl_of_nearly_equal",
        seen="ours",
        lesson=("It is correct on paper, and loses all digits where the two are nearly equal, "
                "as they are at the end of training.")),
    Exhibit(
        "kl_with_a_floor", "gaussian.py",
        right="anp.log(self.var / other.var)",
        wrong="anp.log((self.var + 1e-8) / (other.var + 1e-8))",
        law="test_kl_of_tiny_and_huge_variances",
        seen="ours",
        lesson="A small number added against log 0 changes the KL of all small variances."),
    Exhibit(
        "kl_of_absolute_differences", "gaussian.py",
        right="(self.mean - other.mean) ** 2 / other.var",
        wrong="abs(self.mean - other.mean) / other.var",
        law="test_kl_does_not_see_a_change_of_units",
        seen="ours",
        lesson=("A squared difference over a variance has no unit; an absolute difference over "
                "a variance has one.")),
    Exhibit(
        "mean_over_dimensions", "gaussian.py",
        right="anp.sum(x, axis=tuple(range(1, x.ndim)))",
        wrong="anp.mean(x, axis=tuple(range(1, x.ndim)))",
        law="test_kl_adds_over_dimensions",
        seen="ours",
        lesson="In one dimension the error is not seen."),
    Exhibit(
        "kl_always_positive_by_force", "gaussian.py",
        right="0.5 * sum_over_dimensions(terms)",
        wrong="1e-6 + 0.5 * sum_over_dimensions(terms)",
        law="test_kl_is_not_negative_and_zero_for_equals",
        seen="ours",
        lesson="A safety margin is a bias."),
    Exhibit(
        "kl_grows_with_noise", "forward.py",
        right="cast_like(x_0, anp.sqrt(at.alpha_bar), at.one_minus_alpha_bar)",
        wrong="cast_like(x_0, anp.sqrt(at.alpha_bar), 2 * at.one_minus_alpha_bar)",
        law="test_noise_only_brings_distributions_together",
        seen="ours",
        lesson="With too much noise the end of the chain has a larger variance than N(0, I)."),
    Exhibit(
        "kl_off_by_a_tenth", "gaussian.py",
        right="0.5 * sum_over_dimensions(terms)",
        wrong="0.55 * sum_over_dimensions(terms)",
        law="test_kl_against_monte_carlo",
        seen="ours",
        lesson="The law that catches it uses no formula for the KL."),
    Exhibit(
        "term_with_kl_swapped", "elbo.py",
        right="if np.ndim(t) == 0:\n    return q.kl(p)",
        wrong="if np.ndim(t) == 0:\n    return p.kl(q)",
        law="test_ledger_counts_every_term",
        seen="ours",
        lesson=("With σ² = β̃ the variances are equal and the KL is symmetric; with σ² = β it "
                "is not.")),
    Exhibit(
        "term_of_the_batch_swapped", "elbo.py",
        right="if not is_first.any():\n    return q.kl(p)",
        wrong="if not is_first.any():\n    return p.kl(q)",
        law="test_denoising_term_is_a_weighted_error",
        seen="ours",
        lesson="The same error, where each item has a t of its own, as in training."),
    Exhibit(
        "weight_without_alpha", "elbo.py",
        right="2 * var[1:] * alpha * schedule.one_minus_alpha_bar[1:]",
        wrong="2 * var[1:] * schedule.one_minus_alpha_bar[1:]",
        law="test_denoising_term_is_a_weighted_error",
        seen="ours",
        lesson="α_t is nearly one at small t, but not at large t."),
    Exhibit(
        "weights_of_the_time_before", "elbo.py",
        right="beta ** 2 / (2 * var[1:] * alpha * schedule.one_minus_alpha_bar[1:])",
        wrong=("beta ** 2 / (2 * var[1:] * alpha * schedule.one_minus_alpha_bar[[1, *range(1, "
               "schedule.T)]])"),
        law="test_beta_tilde_costs_half_of_eulers_constant",
        seen="ours",
        lesson="A limit known in closed form shows a shift by one."),
    Exhibit(
        "posterior_mean_of_another_step", "forward.py",
        right="coef_x_0 * x_0 + coef_x_t * x_t",
        wrong="coef_x_0 * x_0 + (1 - coef_x_0) * x_t",
        law="test_posterior_mean_in_terms_of_the_noise",
        seen="ours",
        lesson="The two coefficients do not sum to one."),
    Exhibit(
        "posterior_variance_with_a_floor", "schedule.py",
        right="self.beta * one_minus_prev / divisor",
        wrong="np.maximum(self.beta * one_minus_prev / divisor, 1e-3 * (self.beta > 0))",
        law="test_posterior_variance_is_below_the_step_s",
        seen="ours",
        lesson="With a smallest value, some β̃ are larger than β."),
    Exhibit(
        "posterior_for_small_beta_only", "schedule.py",
        right="np.sqrt(self.alpha) * one_minus_prev / divisor",
        wrong="(1 - self.beta / 2) * one_minus_prev / divisor",
        law="test_posterior_at_the_ends_of_beta",
        seen="ours",
        lesson="√α_t ≈ 1 − β_t/2 holds for small β_t only."),
    Exhibit(
        "posterior_with_an_offset", "forward.py",
        right="coef_x_0 * x_0 + coef_x_t * x_t",
        wrong="coef_x_0 * x_0 + coef_x_t * x_t + 1e-12",
        law="test_posterior_has_no_origin_of_scale_or_direction",
        seen="ours",
        lesson="1e-12 guards against a division by zero that cannot happen."),
    Exhibit(
        "first_step_by_the_formula", "forward.py",
        right="coef_x_0 * x_0 + coef_x_t * x_t",
        wrong="coef_x_0 * x_0 + (coef_x_t + 1e-8) * x_t",
        law="test_posterior_at_the_first_step_is_x_0",
        seen="ours",
        lesson="1e-8 times x_1 is not small if x_1 is large."),
    Exhibit(
        "prior_of_the_model_shifted", "reverse.py",
        right="(x_t - noise_share * eps) / scale",
        wrong="(x_t - 1.0001 * noise_share * eps) / scale",
        law="test_elbo_is_tight_for_standard_normal_data",
        seen="ours",
        lesson="An error of one part in ten thousand, and the bound is no longer tight."),
    Exhibit(
        "posterior_and_step_of_two_schedules", "forward.py",
        right="cast_like(x_prev, anp.sqrt(at.alpha), at.beta)",
        wrong="cast_like(x_prev, anp.sqrt(at.alpha), at.beta * 1.01)",
        law="test_telescoping_on_every_path",
        seen="ours",
        lesson="The step and the posterior no longer belong to the same β."),
    Exhibit(
        "chain_drifts", "reverse.py",
        right="(x_t - noise_share * eps) / scale",
        wrong="(x_t - noise_share * eps) / scale + 1e-6",
        law="test_sampler_moments_are_exact",
        seen="ours",
        lesson="A Monte-Carlo test of samples cannot see 1e-6 a step."),
    Exhibit(
        "consistency_terms_as_kl", "forward.py",
        right="cast_like(x_t, at.coef_x_0, at.coef_x_t, at.beta_tilde)",
        wrong="cast_like(x_t, at.coef_x_0, at.coef_x_t, at.beta_tilde * 1.1)",
        law="test_first_form_is_the_second_and_the_kl_form_is_not",
        seen="ours",
        lesson="The two forms of the bound agree only for the posterior of Bayes' rule."),
    Exhibit(
        "bound_above_the_likelihood", "elbo.py",
        right="if np.ndim(t) == 0:\n    return q.kl(p)",
        wrong="if np.ndim(t) == 0:\n    return 0.5 * q.kl(p)",
        law="test_ledger_counts_every_term",
        seen="ours",
        lesson="A bound that is better than the best likelihood is always a bug."),
    Exhibit(
        "kl_of_means_only", "gaussian.py",
        right="anp.expm1(log_r) - log_r + (self.mean - other.mean) ** 2 / other.var",
        wrong="(self.mean - other.mean) ** 2 / other.var",
        law="test_no_bound_beats_the_entropy",
        seen="ours",
        lesson=("With σ² = β̃ nothing is lost; with σ² = β the bound is above the negative "
                "entropy.")),
    Exhibit(
        "first_term_per_dimension", "elbo.py",
        right="if np.ndim(t) == 0 and t == 1:\n    return -decoder(p, x_0)",
        wrong=("if np.ndim(t) == 0 and t == 1:\n"
               "    return -decoder(p, x_0) / _dimensions(x_0)"),
        law="test_ledger_of_digits",
        seen="ours",
        lesson=("In one dimension it is the same; with 784, one term is per dimension and the "
                "others are sums.")),
    Exhibit(
        "guess_shrunk_towards_zero", "reverse.py",
        right="(x_t - noise_share * eps) / scale",
        wrong="(x_t - 1.000001 * noise_share * eps) / scale",
        law="test_sampler_returns_a_single_point",
        seen="ours",
        lesson=("One millionth too much noise is removed, and the samples of a single point "
                "form a small cloud.")),
    Exhibit(
        "signal_without_its_root", "forward.py",
        right="cast_like(x_0, anp.sqrt(at.alpha_bar), at.one_minus_alpha_bar)",
        wrong="cast_like(x_0, at.alpha_bar, at.one_minus_alpha_bar)",
        law="test_noised_data_has_known_moments",
        seen="ours",
        lesson="ᾱ_t is the share of the variance, and √ᾱ_t the factor of x_0."),
    Exhibit(
        "levels_truncated", "decoder.py",
        right="np.round((x_0 + 1) * HALF_RANGE)",
        wrong="np.floor((x_0 + 1) * HALF_RANGE)",
        law="test_digits_are_decoded_level_by_level",
        seen="ours",
        lesson="41.999999 is level 42."),
    Exhibit(
        "kl_halved_again", "gaussian.py",
        right="0.5 * sum_over_dimensions(terms)",
        wrong="0.25 * sum_over_dimensions(terms)",
        law="test_elbo_is_below_the_likelihood",
        seen="ours",
        lesson="The lower bound comes out above the likelihood."),
    Exhibit(
        "bins_of_half_the_width", "decoder.py",
        right="(2 * level - 1) / 255 - 1",
        wrong="(2 * level - 0.5) / 255 - 1",
        law="test_the_256_probabilities_sum_to_one",
        seen="ours",
        lesson="There are gaps between the bins."),
    Exhibit(
        "ends_not_open", "decoder.py",
        right="level == 0",
        wrong="level < 0",
        law="test_a_wide_gaussian_leaves_half_to_either_end",
        seen="ours",
        lesson="The bin of the first level extends to −∞."),
    Exhibit(
        "bins_shifted_by_half", "decoder.py",
        right="(2 * level + 1) / 255 - 1",
        wrong="(2 * level + 1) / 255.5 - 1",
        law="test_the_levels_are_mirror_images",
        seen="ours",
        lesson="There are 256 levels, and 255 steps between them."),
    Exhibit(
        "tails_with_a_floor", "decoder.py",
        right="log_high + np.log(-np.expm1(log_ndtr(low) - log_high))",
        wrong="np.log(np.exp(log_high) - np.exp(log_ndtr(low)) + 1e-300)",
        law="test_far_tails_are_finite_and_have_a_slope",
        seen="ours",
        lesson=("Where the log-likelihood is constant, its gradient is zero and nothing is "
                "learned.")),
    Exhibit(
        "bins_in_other_units", "decoder.py", inside="level_log_prob",
        right="log_normal_interval(low, high)",
        wrong="log_normal_interval(low, high) + np.log(127.5)",
        law="test_fine_levels_approach_the_density",
        seen="ours",
        lesson="A probability is a density times the width of the bin."),
    Exhibit(
        "pixels_averaged", "gaussian.py",
        right="return anp.sum(x, axis=tuple(range(1, x.ndim)))",
        wrong=("if x.ndim == 2:\n"
               "    return anp.sum(x, axis=1)\n"
               "return anp.mean(x, axis=tuple(range(1, x.ndim)))"),
        law="test_images_are_counted_pixel_by_pixel",
        seen="ours",
        lesson="It was tested on points and is used on images."),
    Exhibit(
        "ddim_loses_noise", "sampling.py",
        right="om_s, om_t = at_s.one_minus_alpha_bar, at_t.one_minus_alpha_bar",
        wrong="om_s, om_t = at_s.one_minus_alpha_bar * 0.999, at_t.one_minus_alpha_bar",
        law="test_ddim_with_eta_one_is_ancestral_sampling",
        seen="ours",
        lesson="DDIM with η = 1 must agree with ancestral sampling."),
    Exhibit(
        "loss_summed_over_the_batch", "elbo.py", inside="simple_loss",
        right="return anp.mean((eps - eps_hat) ** 2)",
        wrong="return anp.sum((eps - eps_hat) ** 2)",
        law="test_loss_does_not_grow_with_the_batch",
        seen="ours",
        lesson="The best learning rate then depends on the size of the batch."),
    Exhibit(
        "loss_against_the_image", "elbo.py", inside="simple_loss",
        right="return anp.mean((eps - eps_hat) ** 2)",
        wrong="return anp.mean((x_0 - eps_hat) ** 2)",
        law="test_simple_loss_is_the_mean_squared_error_of_the_noise",
        seen="ours",
        lesson="The network learns to predict x_0, and is then sampled as if it predicted ε."),
    Exhibit(
        "network_given_t_minus_1", "elbo.py", inside="simple_loss",
        right="evaluate(denoiser, x_t, t)",
        wrong="evaluate(denoiser, x_t, t - 1)",
        law="test_simple_loss_is_the_mean_squared_error_of_the_noise",
        seen="ours",
        lesson="Training counts t from 0, and sampling counts it from 1."),
    Exhibit(
        "noise_not_of_unit_variance", "forward.py",
        right="marginal(schedule, x_0, t).sample(eps)",
        wrong="marginal(schedule, x_0, t).sample(1.02 * eps)",
        law="test_the_exact_denoiser_scores_its_closed_form",
        seen="ours",
        lesson="The lowest possible loss is known in closed form, and is not zero."),
    Exhibit(
        "embedding_of_sines_only", "network/layers.py",
        right="[np.sin(angles), np.cos(angles)]",
        wrong="[np.sin(angles), np.sin(angles)]",
        law="test_time_embedding",
        seen="ours",
        lesson="The length of e(t) then depends on t."),
    Exhibit(
        "embedding_of_t_over_1000", "network/layers.py",
        right="np.atleast_1d(t)[:, None]",
        wrong="np.atleast_1d(t)[:, None] / 1000",
        law="test_times_are_told_apart",
        seen="ours",
        lesson="The embeddings of neighbouring times become nearly equal."),
    Exhibit(
        "average_the_wrong_way_round", "training.py",
        right="lerp(ema, weights, 1 - decay)",
        wrong="lerp(ema, weights, decay)",
        law="test_ema_is_its_closed_form",
        seen="ours",
        lesson="The average then follows the last weights almost entirely."),
]

# Not exhibits, because their output is the same as ours:
# another σ_1² in the sampler: Algorithm 2 adds no noise at t = 1, so only the decoder uses σ_1²;
# noise drawn in the last DDIM step, s = 0: its variance is exactly zero there.
