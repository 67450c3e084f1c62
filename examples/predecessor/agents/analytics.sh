#!/bin/sh
echo "aggregated"
