"""Everything operational: what lies between the mathematics and a user with a terminal and files.

    command_line   python -m tinyddpm: its options and their help
    main_job       what it does without a command
    commands       train, sample, elbo, info
    info           what a run is, how far it got, how to go on
    console        what commands and demos print, and how errors end them
    process        settings of the process that a command runs in
A run, in the order of its life:
    settings       two recipes, what is allowed, the checks
    datasets       open a data set by its name
    run            start a run; a summary of the files of this list
    model          what a run holds: network, denoiser, samples, ledger
    fit            the training loop, with checkpoints
    folder         save and load; the file `lock`, by which only one process trains in the folder
    shipped        the trained denoiser of digits that comes with the package
    verbs          all of it in a line each, for arrays and notebooks: fit, run.sample, run.save
    ranks          several processes that work on one run, by MPI
Files and pictures:
    data           your own data files, points or images
    inspection     what an array is, or why it cannot be trained on, in words
    doubts         where data may not be what the user thinks
    pictures       read a folder of pictures
    digits         MNIST
    readers        read .npy, .npz and text from an untrusted source
    files          write a file as a whole or not at all; lock an open file
    plot           pictures (films are made by the demos)
"""
