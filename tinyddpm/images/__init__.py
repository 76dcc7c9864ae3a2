"""Beyond the paper, for images of 256 grey levels: better models of digits in the same time.

The bound, the samplers and the ledger stay as they are.  Schedule, data, network, variance, loss
and optimiser are choices that the paper leaves open, and each file here is one of them.
Read the mathematics first, up to `training`; then, in this order:

    schedule     a grid of noise levels, uniform in log SNR, that fits 256 levels
    augment      more images from few: random shifts
    histograms   how often each grey level occurs, for a few kinds of image (EM)
    pixels       Bayes' rule for one pixel, and a network that adds what the other pixels tell
    variance     σ_t² from the variance of x_0 given x_t
    bits         a loss for `pixels` with the gradient of −ELBO and less noise
    muon         an optimiser that updates each weight matrix as a whole
"""
