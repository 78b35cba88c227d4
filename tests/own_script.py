"""A folder of images with wrong labels: suspects as a table, a gallery to look through, and a cleaned folder."""

import sys

import torch
from signal_first.data import load_folder
from signal_first.practice import check_target, clean_labels, find_suspects, write_cleaned_folder, write_gallery
from signal_first.training import Recipe
from torch import nn

folder, out = sys.argv[1:]
check_target(f"{out}/cleaned", source=folder)  # now, not after the training


def make_network(data, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1152, data.n_classes))


def generalised_cross_entropy(logits, labels, q=0.7):
    return (1 - logits.softmax(1).gather(1, labels[:, None]) ** q).mean() / q


data = load_folder(folder, size=8, mode="L")
recipe = Recipe(epochs=20, loss=generalised_cross_entropy, optimizer=lambda weights: torch.optim.Adam(weights, lr=0.01))
table = find_suspects(data, make_network, recipe)
write_gallery(table, data, f"{out}/suspects.html", source=folder)
table.to_csv(f"{out}/suspects.csv", index=False)
cleaned, changes = clean_labels(data, table, relabel=0.1, drop=0.05)
write_cleaned_folder(folder, changes, f"{out}/cleaned")
